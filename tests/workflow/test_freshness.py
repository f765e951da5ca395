"""Both tools agree on what is fresh: each row of what went wrong in prototypes, with the guard against it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.project import Project


def trained_since(project: Project, before: dict[str, int]) -> set[str]:
    """The runs that were written since `before`."""
    return {name for name, written in project.run_times().items() if before.get(name) != written}


def test_after_either_tool_the_other_has_nothing_to_do(built: Project):
    before = built.run_times()
    assert len(before) == 4
    assert built.dvc_is_clean()
    assert built.snakemake_is_clean()
    assert "nothing to be done" in built.run("nervelab build")
    built.run("dvc repro")
    assert built.run_times() == before


def test_snakemake_first_then_dvc_trains_nothing(edited: Project):
    before = edited.run_times()
    edited.run("dvc repro")
    assert edited.run_times() == before
    assert edited.dvc_is_clean()
    assert edited.snakemake_is_clean()


def test_clone_and_pull_is_clean_for_both(pulled: Project):
    assert pulled.dvc_is_clean()
    assert pulled.snakemake_is_clean()


def test_in_a_pulled_clone_an_edit_of_one_variant_trains_exactly_that(pulled: Project):
    before = pulled.run_times()
    pulled.edit(
        "params.yaml",
        "[preln, none]\n        model.activation: [gelu, relu]",
        "[preln]\n        model.activation: [gelu, relu]\n"
        "      - model.placement: [none]\n        model.activation: [gelu, learnable-leaky-relu]",
    )
    assert pulled.jobs("train") == 1
    pulled.run("dvc repro")
    new = trained_since(pulled, before)
    assert [name.rpartition("-")[0] for name in new] == ["decoder-normfree-learnable-leaky-relu-4d-adamw-s0"]
    assert "learnable-leaky-relu" in (pulled.folder / "results" / "runs.json").read_text()

    pulled.run("git checkout -q -- params.yaml")
    assert pulled.jobs("train") == 0
    pulled.run("dvc repro")
    assert trained_since(pulled, before) == new
    assert "learnable-leaky-relu" not in (pulled.folder / "results" / "runs.json").read_text()
    assert pulled.dvc_is_clean()
    assert pulled.snakemake_is_clean()


def test_an_edit_of_a_docstring_trains_nothing(built: Project):
    built.edit("src/nervelab/models/ffn.py", '"""W_down phi(W_up x)', '"""Something else')
    assert built.jobs("train") == 0


def test_an_edit_of_code_trains_what_runs_it(built: Project):
    built.edit("src/nervelab/models/ffn.py", '"gelu": nn.GELU', '"gelu": nn.SiLU')
    assert built.jobs("train") == 4


def test_an_edit_of_the_analysis_trains_nothing_and_renders_again(built: Project):
    before = built.run_times()
    built.edit("params.yaml", "window_start: 0.15", "window_start: 0.3")
    built.run("dvc repro")
    assert built.run_times() == before
    assert built.snakemake_is_clean()
    assert built.run("git status --porcelain results/index.html").strip() != ""


def test_a_deleted_file_of_a_run_is_made_again(built: Project):
    whole = built.results()
    before = built.run_times()
    name = sorted(before)[0]
    (built.folder / "runs" / "laptop" / name / "eigenvalues.parquet").unlink()
    assert not built.snakemake_is_clean()
    assert not built.dvc_is_clean()
    built.run("dvc repro")
    assert trained_since(built, before) == {name}
    assert built.results() == whole


def test_deleted_results_and_data_are_made_again(built: Project):
    whole = built.results()
    (built.folder / "results" / "findings.csv").unlink()
    shutil.rmtree(built.folder / "results" / "figures")
    next((built.folder / "data" / "tokens").glob("*/validation.bin")).unlink()
    before = built.run_times()
    built.run("snakemake")
    assert built.results() == whole
    assert built.run_times() == before
    assert built.snakemake_is_clean()


def test_a_truncated_file_of_a_run_is_refused_by_name_by_both(built: Project):
    path = next((built.folder / "runs" / "laptop").glob("*/spectra.parquet"))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    shown = path.relative_to(built.folder).as_posix()
    lock = (built.folder / "dvc.lock").read_bytes()
    for command in ("snakemake", "nervelab build", "dvc repro", "nervelab check"):
        said = built.run(command, fails=True)
        assert f"{shown} is damaged" in said, command
    assert (built.folder / "dvc.lock").read_bytes() == lock


def test_damaged_tokens_are_refused_by_name(built: Project):
    path = next((built.folder / "data" / "tokens").glob("*/train.bin"))
    path.write_bytes(path.read_bytes()[:100])
    shown = path.relative_to(built.folder).as_posix()
    lock = (built.folder / "dvc.lock").read_bytes()
    for command in ("nervelab check tokens", "dvc repro"):
        assert shown in built.run(command, fails=True), command
    assert (built.folder / "dvc.lock").read_bytes() == lock


def test_a_second_study_that_shares_its_runs_changes_only_the_index_and_what_reads_it(built: Project):
    before = built.run_times()
    built.edit(
        "params.yaml",
        "studies:\n",
        "studies:\n  again:\n    question: Again?\n    base: tiny\n    axes: [{model.activation: [gelu]}]\n",
    )
    assert not built.snakemake_is_clean()
    built.run("snakemake")
    assert built.run_times() == before
    assert '"again"' in (built.folder / "results" / "runs.json").read_text()
    assert built.snakemake_is_clean()


def test_code_that_only_the_data_package_holds_is_seen_by_both(built: Project):
    path = built.folder / "src" / "nervelab" / "data" / "batches.py"
    path.write_text(path.read_text() + "\n_ADDED = 1\n")
    assert built.jobs("train") == 4
    assert not built.dvc_is_clean()


def test_a_changed_byte_in_a_run_is_refused_by_name(built: Project):
    path = next((built.folder / "runs" / "laptop").glob("*/model.safetensors"))
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    shown = path.relative_to(built.folder).as_posix()
    lock = (built.folder / "dvc.lock").read_bytes()
    for command in ("nervelab check", "dvc repro"):
        assert f"{shown} is damaged" in built.run(command, fails=True), command
    assert (built.folder / "dvc.lock").read_bytes() == lock


def test_results_brought_back_by_git_do_not_pass_for_new_ones(edited: Project):
    new, before = edited.results(), edited.run_times()
    edited.run("git checkout -q -- results")
    assert edited.results() != new
    assert not edited.snakemake_is_clean()
    edited.run("snakemake")
    assert edited.results() == new
    assert edited.run_times() == before


@pytest.mark.slow
def test_a_smoke_run_beside_does_not_disturb(built: Project):
    before = (built.folder / "results" / "index.html").read_bytes()
    built.run("nervelab build --scale smoke")
    assert len(built.runs("smoke")) == 2
    assert (built.folder / "results" / "smoke" / "index.html").exists()
    assert (built.folder / "results" / "index.html").read_bytes() == before
    assert built.run("git status --porcelain").strip() == ""
    assert built.dvc_is_clean()
    assert built.snakemake_is_clean()


def test_dvc_refuses_to_delete_runs_that_only_snakemake_knows(edited: Project):
    names = set(edited.run_times())
    assert len(names) == 6
    edited.run("git checkout -q -- params.yaml")
    edited.run("dvc checkout", fails=True)
    assert set(edited.run_times()) == names


@pytest.mark.slow
def test_dvc_metrics_params_and_plots_work(built: Project):
    built.edit("params.yaml", "lr: 2.0e-2", "lr: 1.0e-2")
    built.run("dvc repro")
    assert "loss.tiny" in built.run("dvc metrics diff")
    assert "bases.tiny.laptop.optimisers.adamw.lr" in built.run("dvc params diff")
    assert "file://" in built.run("dvc plots diff")
    assert "report" in built.run("dvc dag")


def test_dvc_experiments_work(built: Project):
    before = built.run_times()
    built.run("dvc exp run -S analysis.window_start=0.25")
    assert built.run_times() == before
    assert "analysis.window_start" in built.run("dvc exp show --csv").splitlines()[0]


@pytest.mark.slow
def test_two_scales_named_and_unnamed_are_two_results(built: Project):
    built.run("snakemake --config scale=laptop")
    assert (built.folder / "results" / "laptop" / "report.md").exists()
    assert len(built.run_times()) == 4
    shutil.rmtree(built.folder / "results" / "laptop")
    assert built.snakemake_is_clean()


def test_prune_removes_what_params_no_longer_ask_for(edited: Project):
    said = edited.run("nervelab prune")
    assert "would remove" in said
    assert len(edited.run_times()) == 6
    edited.run("nervelab prune --yes")
    assert len(edited.run_times()) == 4
    assert edited.snakemake_is_clean()


def test_an_absolute_path_of_this_machine_is_nowhere_in_what_is_committed(built: Project, tmp_path: Path):
    for path in (built.folder / "results").rglob("*"):
        if path.is_file():
            assert str(tmp_path) not in path.read_text(errors="replace"), path
