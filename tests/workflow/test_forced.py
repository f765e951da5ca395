"""Whatever Snakemake is told, it deletes no run and no data, and makes again only what is not whole."""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
import sys
from base64 import urlsafe_b64encode
from hashlib import sha256

import pytest

from tests.support.project import Project

NOTHING = "Nothing to be done"


def kept(project: Project) -> dict[str, str]:
    """The sha256 of every file of data and runs, by path."""
    paths = [path for part in ("data", "runs") for path in (project.folder / part).rglob("*") if path.is_file()]
    return {path.relative_to(project.folder).as_posix(): sha256(path.read_bytes()).hexdigest() for path in paths}


def forget_plans(project: Project) -> None:
    project.run("rm -rf plans")


def test_forced_execution_makes_nothing_again_that_is_whole(pulled: Project):
    """A pulled clone has no plans, and its corpora may come from where this machine does not reach."""
    before = kept(pulled)
    assert not (pulled.folder / "plans").exists()
    said = pulled.run("snakemake --cores 2 --forcerun corpus tokenise train")
    assert "data and runs that are whole are not made again" in said
    logs = [path.read_text() for path in (pulled.folder / "logs").rglob("*.log")]
    assert sum("is there and whole" in log for log in logs) == 6
    assert kept(pulled) == before
    assert pulled.dvc_is_clean()
    assert pulled.snakemake_is_clean()


@pytest.mark.slow
@pytest.mark.parametrize("force", ["--forceall", "--force all", "--forcerun {run}", "--force {run}", "-R plans train"])
def test_however_it_is_forced(built: Project, force: str):
    forget_plans(built)
    before = kept(built)
    run = next((built.folder / "runs").rglob("history.parquet")).relative_to(built.folder)
    built.run(f"snakemake --cores 2 {force.format(run=run)}")
    assert kept(built) == before
    assert built.snakemake_is_clean()


def test_a_forced_run_of_which_a_file_is_gone_is_trained_from_a_new_plan(built: Project):
    forget_plans(built)
    whole, before = built.results(), built.run_times()
    name = min(before)
    (built.folder / "runs" / "laptop" / name / "history.parquet").unlink()
    built.run(f"snakemake --cores 2 --forcerun runs/laptop/{name}/history.parquet")
    assert built.results() == whole
    assert {each for each, written in built.run_times().items() if written != before[each]} == {name}


@pytest.mark.slow
@pytest.mark.parametrize("profile", ["default", "none"])
def test_a_training_that_fails_leaves_what_was_there(built: Project, profile: str):
    name = min(built.run_times())
    (built.folder / "runs" / "laptop" / name / "history.parquet").unlink()
    tokens = next((built.folder / "data" / "tokens").glob("*/train.bin"))
    tokens.write_bytes(tokens.read_bytes()[:100])
    before = kept(built)
    options = "" if profile == "default" else "--workflow-profile none --cores 2"
    said = built.run(f"snakemake {options}", fails=True)
    assert kept(built) == before
    assert "Removing output files" not in said


def test_no_profile_and_no_trigger_makes_anything_again(built: Project):
    profile = built.folder / "workflow" / "profiles" / "mine"
    profile.mkdir()
    (profile / "config.yaml").write_text("cores: 2\nkeep-going: true\n")
    markers = built.folder / ".snakemake" / "incomplete"
    markers.mkdir(exist_ok=True)
    for path in (built.folder / "runs").rglob("*.parquet"):  # as a killed Snakemake leaves them
        (markers / urlsafe_b64encode(str(path.relative_to(built.folder)).encode()).decode()).touch()
    for options in (
        "--workflow-profile none --cores 2",
        "--workflow-profile workflow/profiles/mine",
        "--rerun-triggers code params",
        "--workflow-profile none --cores 2 --rerun-triggers input --rerun-incomplete",
    ):
        said = built.run(f"snakemake -n {options}")
        assert NOTHING in said, options
        assert ("--rerun-triggers has no effect here" in said) is ("triggers" in options), options


def test_options_that_are_not_known_are_refused_in_one_sentence(built: Project):
    for options, sentence in (
        ("--config devcie=cuda", "--config knows no devcie: use one of scale, only, device, accumulation, "),
        ("--config accumulation=0 -n", "--config: accumulation: input should be greater than 0, but is 0"),
        ("--config device=cuda --resources gpu=0 -n", "--resources gpu=0 leaves no GPU for trainings on cuda: say "),
        ("--config device=cuda:0 --resources gpu=2 -n", "--resources gpu=2 would let 2 trainings share the one GPU"),
    ):
        said = built.run(f"snakemake {options}", fails=True)
        assert [line for line in said.splitlines() if line.startswith("error: ")] == [said.splitlines()[-1]], said
        assert sentence in said


def test_trainings_on_a_gpu_wait_for_each_other(built: Project):
    built.edit("params.yaml", "lr: 2.0e-2", "lr: 1.0e-2")
    said = built.run("snakemake --cores 4 --config device=cuda --until plans")
    assert re.search(r"^Provided resources: gpu=\D*1\D*$", said, flags=re.MULTILINE), said
    assert "gpu=1, mem_mb" in built.run("snakemake --cores 4 --config device=cuda:0 -n")


def test_another_version_of_snakemake_is_refused_in_one_sentence(built: Project):
    for version in ("9.3.0", "10.0.0"):
        pretended = (
            f"import snakemake; snakemake.__version__ = '{version}'; from snakemake.cli import main; main(['-n'])"
        )
        answer = subprocess.run(
            [sys.executable, "-c", pretended], cwd=built.folder, env=built.environment, capture_output=True, text=True
        )
        assert answer.returncode == 2
        last = answer.stderr.splitlines()[-1]
        assert last.startswith("error: this workflow needs a Snakemake from 9.27 to below 10, and this is " + version)


def test_a_snakemake_beside_a_build_is_refused_and_a_dry_run_is_not(built: Project):
    built.edit("params.yaml", "window_start: 0.15", "window_start: 0.3")
    with subprocess.Popen(["sleep", "600"]) as other, (built.folder / ".nervelab.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        os.pwrite(lock.fileno(), str(other.pid).encode(), 0)
        said = built.run("snakemake --cores 2", fails=True)
        assert f"error: another build is running in this folder (process {other.pid}): wait for it to end" in said
        assert "analyse" in built.run("snakemake -n")
        other.kill()
    assert not built.snakemake_is_clean()
