"""What an executor of a cluster reports of a job that ended, and what that costs it."""

from __future__ import annotations

import asyncio
import importlib
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nervelab.cluster.executors import Ends, mend, patient

RUNS = ["a-0000000001", "b-0000000002"]


class Plain:
    """An executor that notes what it is told to report, as Snakemake's base class does."""

    def __init__(self) -> None:
        self.errors: list[str] = []
        self.finished: list[Any] = []
        self.restarted: list[Any] = []
        self.notes: list[str] = []
        self.submitted: list[Any] = []
        self.logger = SimpleNamespace(info=self.notes.append)
        self.workflow = SimpleNamespace(scheduler=SimpleNamespace(error_callback=self.restarted.append))

    def run_job(self, job: Any) -> None:
        self.submitted.append(job)

    def report_job_submission(self, job_info: Any) -> None:
        self.submitted.append(job_info)

    def report_job_success(self, job_info: Any) -> None:
        self.finished.append(job_info)

    def report_job_error(self, job_info: Any, msg: str | None = None, **_: Any) -> None:
        self.errors.append(msg)


class World:
    """Jobs of two runs of a hundred steps, in a folder of their own."""

    def __init__(self) -> None:
        jobs = SimpleNamespace(names=lambda wildcards: RUNS[: wildcards.count], steps=lambda name: 100)
        self.ends = Ends()
        self.executor = patient(Plain, jobs, self.ends)()

    def job(self, *, runs: int = 1, attempt: int = 1, rule: str | None = None) -> SimpleNamespace:
        """A job that may be tried four times."""
        return SimpleNamespace(
            rule=SimpleNamespace(name=rule or ("train" if runs == 1 else "train_together")),
            is_group=lambda: False,
            wildcards=SimpleNamespace(scale="laptop", count=runs),
            resources={"mem_mb": 300, "runtime": 10},
            attempt=attempt,
            restart_times=3,
            __hash__=None,
        )

    def ended(self, job: SimpleNamespace, state: str = "FAILED", *, id: str | None = "43") -> Plain:
        """The executor, once it was told that this job ended so."""
        info = SimpleNamespace(job=Hashed(job), external_jobid=id, aux={})
        self.executor.run_job(info.job)
        self.executor.report_job_submission(info)
        for act in self.meanwhile:
            act()
        self.executor.report_job_error(info, f"SLURM-job '43' failed, SLURM status is: '{state}'.")
        self.left = info.job
        return self.executor

    meanwhile: tuple[Any, ...] = ()


class Hashed(SimpleNamespace):
    """A job that can be a key, as Snakemake's are."""

    def __init__(self, job: SimpleNamespace) -> None:
        super().__init__(**vars(job))

    def __hash__(self) -> int:
        return id(self)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.chdir(tmp_path)
    Path("logs/laptop").mkdir(parents=True)
    return World()


def saves(run: str, step: int) -> Any:
    """An act: the training of a run saves at a step."""

    def act() -> None:
        folder = Path(".checkpoints") / run
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "progress.json").write_text(json.dumps({"step": step, "saved": step}))

    return act


def says(run: str, line: str) -> Any:
    """An act: the training of a run says something."""
    return lambda: Path("logs/laptop", f"{run}.log").write_text(f"{line}\n")


def ends_whole(run: str) -> Any:
    """An act: a run is there."""

    def act() -> None:
        (Path("runs/laptop") / run).mkdir(parents=True)
        (Path("runs/laptop") / run / "run.json").write_text("{}")

    return act


STOPPED = "stopped before its job's time limit; the same command goes on from the checkpoint"


@pytest.mark.parametrize("state", ["TIMEOUT", "PREEMPTED", "NODE_FAIL"])
def test_a_training_that_was_stopped_and_moved_on_costs_no_attempt(world: World, state: str):
    world.meanwhile = (saves(RUNS[0], 5),)
    found = world.ended(world.job(attempt=4), state)
    assert (found.errors, found.restarted, world.left.attempt) == ([], [world.left], 3)
    (note,) = found.notes
    assert note.startswith(f"{RUNS[0]}: job 43 ")
    assert note.endswith(". It moved on, and goes on in a new job.")
    assert ".." not in note


@pytest.mark.parametrize("attempt", [1, 4])
def test_one_that_did_not_move_on_costs_one(world: World, attempt: int):
    saves(RUNS[0], 5)()
    world.meanwhile = (saves(RUNS[0], 5),)
    found = world.ended(world.job(attempt=attempt), "TIMEOUT")
    sentence = (
        f"{RUNS[0]}: job 43 met its time limit of 10 minutes: raise minutes of the size of its model in "
        "workflow/execution.yaml."
    )
    assert found.errors == [sentence if attempt == 1 else f"error: {sentence}"]
    assert (found.restarted, world.left.attempt) == ([], attempt)


def test_what_a_training_refuses_is_not_tried_again(world: World):
    world.meanwhile = (says(RUNS[0], "error: data/tokens/x is damaged: delete it."),)
    found = world.ended(world.job(), "FAILED")
    assert found.errors == [f"error: {RUNS[0]}: data/tokens/x is damaged: delete it (job 43)."]
    assert world.left.attempt == world.left.restart_times + 1


def test_a_defect_is_tried_again(world: World):
    world.meanwhile = (says(RUNS[0], "RuntimeError: CUDA error"),)
    found = world.ended(world.job(), "FAILED")
    assert "CUDA error" in found.errors[0]
    assert world.left.attempt == 1


def test_one_that_fails_holds_back_no_other_of_its_job(world: World):
    world.meanwhile = (says(RUNS[0], "error: it is damaged."), saves(RUNS[1], 7), says(RUNS[1], STOPPED))
    found = world.ended(world.job(runs=2), "FAILED")
    assert (found.errors, world.left.attempt) == ([], 0)
    world.meanwhile = (says(RUNS[0], "error: it is damaged."), ends_whole(RUNS[1]))
    found = world.ended(world.job(runs=2), "FAILED")
    assert found.errors == [f"error: {RUNS[0]}: it is damaged (job 43)."]


def test_what_was_said_in_an_earlier_job_is_no_reason(world: World):
    says(RUNS[0], "error: no space left.")()
    found = world.ended(world.job(), "CANCELLED")
    assert found.errors == [f"{RUNS[0]}: job 43 was cancelled: the same command goes on from the checkpoint."]


def test_a_job_that_was_told_to_end_when_its_run_was_there_has_succeeded(world: World):
    world.meanwhile = (ends_whole(RUNS[0]),)
    found = world.ended(world.job(), "CANCELLED")
    assert ([info.external_jobid for info in found.finished], found.errors, found.restarted) == (["43"], [], [])


def test_one_of_several_runs_ends_at_once_in_another_job_which_costs_nothing(world: World):
    world.meanwhile = (ends_whole(RUNS[0]), ends_whole(RUNS[1]))
    found = world.ended(world.job(runs=2, attempt=4), "CANCELLED")
    assert (found.errors, found.restarted, world.left.attempt) == ([], [world.left], 3)


def test_a_job_that_the_cluster_does_not_take_is_told_with_its_reason(world: World):
    info = SimpleNamespace(job=Hashed(world.job(attempt=4)), external_jobid=None, aux=None)
    said = "SLURM sbatch failed. The error message was 'sbatch: error: invalid partition: gpuu\n'.\n    sbatch call:"
    world.executor.report_job_error(info, said)
    (sentence,) = world.executor.errors
    assert sentence.startswith(
        f"error: {RUNS[0]}: its job was not taken by the cluster (sbatch: error: invalid partition"
    )
    assert "\n" not in sentence


def test_jobs_that_train_nothing_are_reported_as_they_are(world: World):
    found = world.ended(world.job(rule="corpus"), "FAILED")
    assert found.errors == ["SLURM-job '43' failed, SLURM status is: 'FAILED'."]


def test_the_plugin_of_slurm_has_what_is_mended_in_it(monkeypatch: pytest.MonkeyPatch):
    module = importlib.import_module("snakemake_executor_plugin_slurm")
    source = Path(module.__file__).read_text()
    assert "await query_job_status(" in source
    assert "def run_job(self, job" in source

    async def answer(command: str, logger: Any) -> tuple[dict[str, str], float]:
        return {"1": "CANCELLED by 0"}, 0.0

    monkeypatch.setattr(module, "query_job_status", answer)
    plugin = SimpleNamespace(executor=module.Executor)
    mend(plugin, SimpleNamespace())
    assert asyncio.run(module.query_job_status("squeue", None)) == ({"1": "CANCELLED"}, 0.0)
    assert issubclass(plugin.executor, module.Executor)
    assert plugin.executor is not module.Executor
