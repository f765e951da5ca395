"""The code of the folder runs in it: whatever is installed, queued, lies beside it, or is set in the shell."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.support.project import Project
from tests.workflow.environments import environment_at

GELU, SILU = '"gelu": nn.GELU', '"gelu": nn.SiLU'
FFN = "src/nervelab/models/ffn.py"


def said_by(project: Project, *command: str | Path, fails: bool = False, **variables: str) -> str:
    """What a command prints in the folder, in the environment of a new shell: nothing activated, no import path."""
    kept = {name: os.environ[name] for name in ("HOME", "TMPDIR") if name in os.environ}
    answer = subprocess.run(
        [str(word) for word in command],
        cwd=project.folder,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "NO_COLOR": "1", "COLUMNS": "200", **kept, **variables},
        check=False,
        encoding="utf-8",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
    )
    assert (answer.returncode != 0) is fails, f"{command}: exit {answer.returncode}\n{answer.stdout}"
    return answer.stdout


def trainings(said: str) -> int:
    """How many trainings Snakemake's dry run counts."""
    counted = [line.split()[1] for line in said.splitlines() if line.split()[:1] == ["train"]]
    return int(counted[0]) if counted else 0


def losses(project: Project) -> dict[str, float]:
    """The final loss of each run that results/runs.json names."""
    names = [run["name"] for run in json.loads((project.folder / "results" / "runs.json").read_text())["runs"]]
    return {name: project.runs()[name]["final"]["eval_loss"] for name in names}


def test_in_a_second_clone_its_own_code_counts_although_the_first_is_installed(
    template: Project, built: Project, tmp_path: Path
):
    bin = environment_at(tmp_path / "it's an environment", template.folder / "src")
    assert trainings(said_by(built, bin / "snakemake", "-n")) == 0
    built.edit(FFN, GELU, SILU)
    assert trainings(said_by(built, bin / "snakemake", "-n")) == 4
    assert "is missing" in said_by(built, bin / "nervelab", "check", fails=True)
    # The first clone goes on with its own.
    assert trainings(said_by(template, bin / "snakemake", "-n")) == 0


def test_a_folder_without_code_uses_what_is_installed(template: Project, built: Project, tmp_path: Path):
    bin = environment_at(tmp_path / "environment", template.folder / "src")
    (built.folder / "src").rename(built.folder / "elsewhere")
    assert trainings(said_by(built, bin / "snakemake", "-n")) == 0
    assert "folders are whole" in said_by(built, bin / "nervelab", "check")


@pytest.mark.slow
def test_stages_run_in_the_environment_of_the_dvc_that_was_called(template: Project, built: Project, tmp_path: Path):
    bin = environment_at(tmp_path / "it's an environment", template.folder / "src")
    (built.folder / "results" / "index.html").unlink()
    before = built.run_times()
    said_by(built, bin / "dvc", "repro")
    assert (built.folder / "results" / "index.html").exists()
    (built.folder / "results" / "index.html").unlink()
    said_by(built, bin / "python", "-m", "dvc", "repro", SHELL="/bin/bash")
    assert (built.folder / "results" / "index.html").exists()
    assert built.run_times() == before


def test_a_stage_finds_no_nervelab_and_says_so(built: Project):
    # Two shells, so that no Python is above it: what follows in each keeps it from giving its place away.
    inner = "sh workflow/nervelab check; exit $?"
    said = said_by(built, "sh", "-c", f"sh -c '{inner}'; exit $?", fails=True)
    assert said == (
        "error: there is no nervelab beside this dvc, on PATH or in .venv: run make, or activate its environment.\n"
    )


def test_files_beside_the_code_are_not_taken_for_it(built: Project, tmp_path: Path):
    plan = next((built.folder / "plans").glob("*.json"))
    wanted = built.runs()[plan.stem]["files"]
    (built.folder / "nervelab").symlink_to("src/nervelab")
    for name in ("random", "queue", "typing", "torch", "polars"):
        (built.folder / f"{name}.py").write_text("raise SystemExit('this file is not for running')\n")
    assert built.snakemake_is_clean()
    built.edit(FFN, GELU, SILU)
    assert built.jobs("train") == 4
    built.run(f"nervelab train plans/{plan.name} --runs runs/here")
    assert json.loads((built.folder / "runs" / "here" / plan.stem / "run.json").read_text())["files"] == wanted
    built.edit(FFN, SILU, GELU)
    (built.folder / "results" / "index.html").unlink()
    for command in ("nervelab build", "nervelab repro"):
        built.run(command)
    assert (built.folder / "results" / "index.html").exists()


@pytest.mark.parametrize("variable", ["NERVELAB_SCALE", "NERVELAB_ONLY"])
def test_a_variable_left_in_the_shell_is_refused(built: Project, variable: str, monkeypatch: pytest.MonkeyPatch):
    before = built.results()
    built.edit("params.yaml", "window_start: 0.15", "window_start: 0.3")
    lock = (built.folder / "dvc.lock").read_bytes()
    monkeypatch.setenv(variable, {"NERVELAB_SCALE": "smoke", "NERVELAB_ONLY": "activation"}[variable])
    for command in ("dvc repro", "snakemake", "nervelab build"):
        assert f"{variable} is set in the environment" in built.run(command, fails=True), command
    assert built.results() == before
    assert (built.folder / "dvc.lock").read_bytes() == lock
    assert not built.runs("smoke")


@pytest.mark.slow
def test_a_profile_that_names_another_scale_than_the_build_is_refused(built: Project, monkeypatch: pytest.MonkeyPatch):
    profile = built.folder / "workflow" / "profiles" / "other"
    profile.mkdir()
    (profile / "config.yaml").write_text("config: [scale=smoke]\n")
    built.edit("params.yaml", "window_start: 0.15", "window_start: 0.3")
    monkeypatch.setenv("SNAKEMAKE_PROFILE", "workflow/profiles/other")
    assert "says scale=smoke" in built.run("dvc repro", fails=True)
    assert not built.runs("smoke")
    (profile / "config.yaml").write_text("config: [checkpoint_seconds=9]\n")
    built.run("dvc repro")
    assert built.snakemake_is_clean()


@pytest.mark.slow
def test_in_a_second_clone_either_tool_trains_by_its_own_code(template: Project, built: Project, tmp_path: Path):
    bin = environment_at(tmp_path / "environment", template.folder / "src")
    before = losses(built)
    built.edit(FFN, GELU, SILU)
    said_by(built, bin / "dvc", "repro")
    after = losses(built)
    assert len(after) == 4
    assert not before.keys() & after.keys()
    changed = [name for name in after if after[name] not in before.values()]
    assert sorted(name.split("-")[2] for name in changed) == ["gelu", "gelu"]
    assert built.dvc_is_clean()
    assert trainings(said_by(built, bin / "snakemake", "-n")) == 0


@pytest.mark.slow
def test_an_experiment_runs_the_code_it_was_queued_with(template: Project, built: Project, tmp_path: Path):
    bin = environment_at(tmp_path / "environment", template.folder / "src")
    identity = {f"GIT_{role}_{what}": "tests" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    identity["PATH"] = f"{bin}:/usr/local/bin:/usr/bin:/bin"  # DVC's queue looks there for dvc, and waits without end
    before = losses(built)
    said_by(built, bin / "dvc", "exp", "run", "--queue", "-n", "wide", "-S", "analysis.window_start=0.25", **identity)
    built.edit(FFN, GELU, SILU)
    said_by(built, bin / "dvc", "exp", "run", "--run-all", **identity)
    assert GELU in built.run(f"git show wide:{FFN}")
    made = json.loads(built.run("git show wide:results/runs.json"))["runs"]
    assert {run["name"] for run in made} == before.keys()
    assert losses(built) == before
