"""The jobs that train what is missing: what they ask for, and which trainings share one."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from snakemake.iocontainers import Wildcards

from nervelab import runfiles
from nervelab.errors import NervelabError
from nervelab.files import write_json
from nervelab.stages.jobs import Jobs
from nervelab.stages.targets import Targets
from nervelab.study.execution import Execution
from nervelab.study.options import Options
from nervelab.study.plans import content_of
from tests.support.project_files import PARAMS

SMALL = {"memory_mb": 500, "minutes": 10, "cpus": 1, "device": None, "accumulation": 1, "together": 4}
LARGE = {"memory_mb": 9000, "minutes": 100, "cpus": 4, "device": "cuda", "accumulation": 2, "together": 1}


def wildcards(**named: str) -> Wildcards:
    return Wildcards(fromdict=named)


def table(*, below: float = 100_000.0, **first: Any) -> Execution:
    """A table of two entries: the small models, below so many weights, and the others."""
    sizes = [{"below": below, **SMALL, **first}, {"below": float("inf"), **LARGE}]
    data = {"partition": None, "memory_mb": 1, "minutes": 1}
    return Execution.model_validate({"data": data, "overhead_mb": 400, "max_minutes": 35, "sizes": sizes})


@pytest.fixture
def targets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Targets:
    """The smoke scale's, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return Targets.of("smoke", params=PARAMS)


def finish(run: Any) -> None:
    """Leave files of a run as if it had been trained."""
    run.folder.mkdir(parents=True)
    for file in runfiles.RUN_FILES:
        (run.folder / file).touch()


@cache
def all_targets() -> Targets:
    return Targets.of("laptop", params=PARAMS)


@settings(deadline=None)
@given(together=st.integers(1, 16), number=st.integers(0, 40))
def test_jobs_share_evenly_within_their_bound_and_lose_nobody(together: int, number: int):
    targets = all_targets()
    runs = targets.project.runs[:number]
    jobs = Jobs(targets, table(together=together), Options())
    shared = list(jobs.shared(runs))
    assert sorted(run.name for each in shared for run in each) == sorted(run.name for run in runs)
    for each in shared:
        assert len({run.fingerprint for run in each}) == len({jobs.size(run.name) for run in each}) == 1
        assert len(each) <= jobs.size(each[0].name).together
    by_code: dict[Any, list[int]] = {}
    for each in shared:
        by_code.setdefault((each[0].fingerprint, jobs.size(each[0].name)), []).append(len(each))
    assert all(max(lengths) - min(lengths) <= 1 for lengths in by_code.values())


def test_on_one_machine_each_training_is_a_job(targets: Targets):
    runs = targets.project.runs
    jobs = Jobs(targets, table(), Options())
    files = [str(run.folder / file) for run in runs for file in runfiles.RUN_FILES]
    assert jobs.files(runs, apart=True) == files == targets.run_files


def test_on_a_cluster_what_is_missing_is_trained_together_and_what_is_there_is_let_be(targets: Targets):
    runs = targets.project.runs
    finish(runs[0])
    jobs = Jobs(targets, table(below=1e9), Options())
    files = jobs.files(runs, apart=False)
    assert {str(runs[0].folder / file) for file in runfiles.RUN_FILES} <= set(files)
    ids = [id for file in files if file.startswith("plans/together/smoke/") for id in Path(file).stem.split("+")]
    alone = {run.id for run in runs[1:] if str(run.folder / runfiles.RUN_JSON) in files}
    assert ids
    assert sorted([*ids, *alone]) == sorted(run.id for run in runs[1:])


def test_a_job_that_ended_earlier_stands_for_no_other(targets: Targets):
    jobs = Jobs(targets, table(below=1e9), Options())
    (first, *_) = [file for file in jobs.files(targets.project.runs, apart=False) if "together" in file]
    assert first.endswith(".0")
    Path(first).parent.mkdir(parents=True)
    Path(first).touch()
    assert first.removesuffix("0") + "1" in jobs.files(targets.project.runs, apart=False)


def test_runs_are_found_by_their_ids(targets: Targets):
    runs = targets.project.runs[:3]
    jobs = Jobs(targets, table(), Options())
    together = wildcards(scale="smoke", ids="+".join(run.id for run in runs), number="0")
    assert jobs.names(together) == [run.name for run in runs]
    assert jobs.plans(together) == [f"plans/{run.name}.json" for run in runs]
    assert jobs.names(wildcards(scale="smoke", name=runs[0].name)) == [runs[0].name]
    with pytest.raises(NervelabError, match="asks for no run 0000000000"):
        jobs.names(wildcards(scale="smoke", ids=f"{runs[0].id}+0000000000", number="0"))


def test_more_is_asked_for_after_a_failure(targets: Targets):
    runs = [run for run in targets.project.runs if run.config.model.family == "decoder"][:2]
    jobs = Jobs(targets, table(below=1e9), Options())
    one = wildcards(scale="smoke", name=runs[0].name)
    two = wildcards(scale="smoke", ids="+".join(run.id for run in runs), number="0")
    assert [jobs.memory_mb(one, attempt) for attempt in (1, 2, 3)] == [900, 1400, 1900]
    assert [jobs.minutes(one, attempt) for attempt in (1, 2)] == [10, 20]
    assert (jobs.memory_mb(two, 1), jobs.minutes(two, 1), jobs.cpus(two)) == (900, 20, 1)
    assert jobs.minutes(two, 2) == 35
    finish(runs[0])
    assert jobs.minutes(two, 1) == 10


def test_a_job_without_a_gpu_trains_without_one_whatever_the_table_says_by_then(targets: Targets):
    job = wildcards(scale="smoke", name=targets.project.runs[0].name)
    how = Jobs(targets, table(below=1.0), Options()).options_in(SimpleNamespace(remote_exec=True))
    assert "--device cuda " in how(job, SimpleNamespace(gpu=1, runtime=10))
    assert "--device cpu " in how(job, SimpleNamespace(gpu=0, runtime=10))
    assert how(job, SimpleNamespace(gpu=0, runtime=10)).split("--minutes ")[1].split()[0] == "10"


@pytest.mark.parametrize(
    ("options", "device", "accumulation", "gpus"),
    [
        (Options(), "cuda", 2, 1),
        (Options(device="cpu"), "cpu", 2, 0),
        (Options(device="cuda:1", accumulation=8), "cuda:1", 8, 1),
    ],
)
def test_the_command_line_comes_before_the_table(
    options: Options, device: str, accumulation: int, gpus: int, targets: Targets
):
    run = targets.project.runs[0]
    jobs = Jobs(targets, table(below=1.0), options)
    job = wildcards(scale="smoke", name=run.name)
    assert (jobs.device_of(job), jobs.accumulation(job), jobs.gpus(job)) == (device, accumulation, gpus)
    assert jobs.device == device


def test_the_device_of_a_machine_is_one(targets: Targets):
    assert Jobs(targets, table(below=1e9), Options()).device == "cpu"
    assert Jobs(targets, table(below=1e9, device="cuda"), Options()).device == "cuda"
    with pytest.raises(NervelabError, match="name one of cuda, cuda:1, not several"):
        assert Jobs(targets, table(below=200_000.0, device="cuda:1"), Options()).device


def test_a_run_that_was_queued_before_an_edit_is_known_by_its_plan(targets: Targets):
    run = targets.project.runs[0]
    write_json(Path(f"plans/{run.name}.json"), content_of(run))
    emptied = SimpleNamespace(project=SimpleNamespace(runs=()), needed_to_train=lambda each: [each.name])
    jobs = Jobs(emptied, table(below=1e9), Options())
    assert jobs.size(run.name).memory_mb == SMALL["memory_mb"]
    assert jobs.steps(run.name) == run.config.training.steps
    assert jobs.names(wildcards(scale="smoke", ids=f"{run.id}+{run.id}", number="0")) == [run.name] * 2
