"""The workflow is held to its settings, whatever Snakemake was started with."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest
from snakemake.api import Workflow
from snakemake.settings.enums import RerunTrigger
from snakemake.settings.types import (
    ConfigSettings,
    DAGSettings,
    DeploymentSettings,
    ExecutionSettings,
    ResourceSettings,
    StorageSettings,
    WorkflowSettings,
)
from snakemake_interface_executor_plugins.registry.plugin import Plugin

from nervelab.build.engine import BELOW, OLDEST, one_sentence, refuse_other_versions, settle
from nervelab.build.locks import sole_build
from nervelab.errors import NervelabError


def workflow(resources: dict[str, int] | None = None, *, device: str = "cpu") -> Workflow:
    """A workflow as it is while its Snakefile is read."""
    new = Workflow(
        config_settings=ConfigSettings(),
        resource_settings=ResourceSettings(resources=resources or {}),
        workflow_settings=WorkflowSettings(),
        logger_manager=None,
        storage_settings=StorageSettings(),
        deployment_settings=DeploymentSettings(),
    )
    settle(new, SimpleNamespace(device=device))
    return new


def executor(*, local: bool, dry: bool = False) -> Plugin:
    """What Snakemake knows of the executor of its jobs."""
    common = SimpleNamespace(local_exec=local, dryrun_exec=dry)
    return Plugin(executor=object, common_settings=common, _executor_settings_cls=None, _name="made-up")


def gpus(settled: Workflow) -> int | None:
    """How many trainings on a GPU may run at once."""
    return settled.global_resources["gpu"].value if "gpu" in settled.global_resources else None


@pytest.mark.parametrize("version", ["9.27", "9.27.1", "9.28.0+local", "9.100.2"])
def test_versions_that_this_was_written_for_are_taken(version: str):
    refuse_other_versions(version)


@pytest.mark.parametrize("version", ["9.26.9", "9.3", "8.30.0", "7.32.4", "10.0.0", "10.0.0a1"])
def test_other_versions_are_refused_in_one_sentence(version: str):
    with pytest.raises(NervelabError, match=rf"from 9.27 to below 10, and this is {version}: run make"):
        refuse_other_versions(version)


def test_the_versions_are_those_of_pyproject():
    listed = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))
    oldest, below = (".".join(map(str, each)) for each in (OLDEST, BELOW))
    assert f"snakemake>={oldest},<{below}" in listed["project"]["dependencies"]


@pytest.mark.parametrize(
    "asked", [RerunTrigger.all(), frozenset({RerunTrigger.CODE, RerunTrigger.PARAMS}), frozenset({RerunTrigger.INPUT})]
)
def test_presence_decides_whatever_triggers_were_asked_for(asked: frozenset[RerunTrigger]):
    settled = workflow()
    settled.dag_settings = DAGSettings(rerun_triggers=asked)
    assert settled.rerun_triggers == {RerunTrigger.MTIME}


def test_what_a_failed_or_killed_job_left_stays(tmp_path: Path):
    settled = workflow()
    settled.execution_settings = ExecutionSettings()
    assert settled.execution_settings.keep_incomplete
    assert settled.execution_settings.ignore_incomplete


@pytest.mark.parametrize(("device", "at_once"), [("cuda", 3), ("cuda:0", 1), ("cuda:2", 1)])
def test_as_many_trainings_at_a_time_as_this_machine_shows_gpus(device: str, at_once: int, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,3")
    settled = workflow(device=device)
    settled._executor_plugin = executor(local=True)
    assert gpus(settled) == at_once


def test_fewer_trainings_than_gpus_may_be_asked_for(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,3")
    settled = workflow({"gpu": 2}, device="cuda")
    settled._executor_plugin = executor(local=True)
    assert gpus(settled) == 2


def test_where_no_gpu_is_found_it_is_the_one_training_that_says_so(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    settled = workflow(device="cuda")
    settled._executor_plugin = executor(local=True)
    assert gpus(settled) == 1


def test_a_cluster_gives_each_training_its_gpu(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for given in (None, 4):
        settled = workflow({"gpu": given} if given else None, device="cuda")
        settled._executor_plugin = executor(local=False)
        assert gpus(settled) == given


def test_on_the_cpu_nothing_is_limited(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settled = workflow()
    settled._executor_plugin = executor(local=True)
    assert gpus(settled) is None
    workflow({"gpu": 0})


@pytest.mark.parametrize("given", [0, -1, "one"])
def test_trainings_left_without_a_gpu_are_refused(given: int | str):
    with pytest.raises(NervelabError, match=rf"--resources gpu={given} leaves no GPU for trainings on cuda: say "):
        workflow({"gpu": given}, device="cuda")


@pytest.mark.parametrize(
    ("given", "device", "shown", "said"),
    [
        (
            2,
            "cuda:0",
            "0,1,3",
            "--resources gpu=2 would let 2 trainings share the one GPU that cuda:0 means here: say ",
        ),
        (2, "cuda", "GPU-a1", "--resources gpu=2 would let 2 trainings share the one GPU that cuda means here: say "),
        (4, "cuda", "0,1,3", "--resources gpu=4 would let 4 trainings share the 3 GPUs that cuda means here: say "),
        (2, "cuda", "", "CUDA_VISIBLE_DEVICES= hides every GPU: "),
    ],
)
def test_trainings_that_would_share_a_gpu_are_refused(
    given: int, device: str, shown: str, said: str, capsys, tmp_path: Path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", shown)
    settled = workflow({"gpu": given}, device=device)
    with pytest.raises(SystemExit, match="2"):
        settled._executor_plugin = executor(local=True)
    told = capsys.readouterr().err
    assert told.startswith(f"error: {said}")
    assert told.count("\n") == 1


def test_a_second_build_is_refused_and_a_dry_run_is_not(capsys, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    other = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "from nervelab.build.locks import claim_build; claim_build(); print(flush=True); input()",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with other:
        other.stdout.readline()
        workflow()._executor_plugin = executor(local=True, dry=True)
        with pytest.raises(SystemExit, match="2"):
            workflow()._executor_plugin = executor(local=True)
        assert f"another build is running in this folder (process {other.pid}): wait" in capsys.readouterr().err
        other.stdin.close()
    workflow()._executor_plugin = executor(local=True)


def test_a_build_under_the_one_that_holds_the_lock_goes_on(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with sole_build(print):
        below = [sys.executable, "-c", "from nervelab.build.locks import claim_build; claim_build()"]
        assert subprocess.run(below, check=False).returncode == 0


def test_a_users_error_ends_the_process_without_a_traceback(capsys):
    with pytest.raises(SystemExit, match="2"), one_sentence():
        raise NervelabError("params.yaml is missing.")
    assert capsys.readouterr().err == "error: params.yaml is missing.\n"
