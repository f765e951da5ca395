"""Whatever ends a job, its run goes on from its checkpoint: trained once, and the same to the last byte."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import polars as pl
import pytest
from project import Project

from slurm.lab import LONG, Lab, Step

pytestmark = [pytest.mark.slurm, pytest.mark.xdist_group("slurm")]

BUILD = "nervelab build activation --profile slurm"
SNAKEMAKE = "snakemake --profile workflow/profiles/slurm activation"
Same = Callable[[Lab], None]


def went_on(lab: Lab, before: Step) -> None:
    """Asserts that a run that was at this step was gone on with by another process, not from its beginning."""
    after = [step for step in lab.steps(before.run) if step.process != before.process]
    assert after
    assert after[0].number > 0


def test_a_trainer_that_is_killed_once(untrained: Lab, same: Same):
    build = untrained.begin(SNAKEMAKE)
    step = untrained.training(build)
    os.kill(int(step.process), signal.SIGKILL)
    untrained.ends(build)
    same(untrained)
    went_on(untrained, step)


@pytest.mark.slurm_short
def test_a_job_that_is_cancelled(untrained: Lab, same: Same):
    build = untrained.begin(BUILD)
    step = untrained.training(build)
    untrained.slurm.run("scancel", step.job)
    untrained.ends(build)
    assert untrained.slurm.state(step.job) == "CANCELLED"
    same(untrained)
    went_on(untrained, step)


def test_a_job_that_is_requeued(untrained: Lab, same: Same):
    build = untrained.begin(SNAKEMAKE)
    step = untrained.training(build)
    untrained.slurm.run("scontrol", "requeue", step.job)
    untrained.until(lambda: untrained.slurm.queue().get(step.job) == "PENDING", build)
    untrained.slurm.start_now(step.job)
    untrained.ends(build)
    same(untrained)
    went_on(untrained, step)
    assert {each.job for each in untrained.steps(step.run)} == {step.job}


@pytest.mark.parametrize("mode", ["REQUEUE", "CANCEL"])
def test_a_job_that_is_preempted(untrained: Lab, same: Same, mode: str):
    slurm = untrained.slurm
    slurm.preempt_by(mode)
    build = untrained.begin(BUILD)
    step = untrained.training(build)
    urgent = slurm.run(
        *("sbatch", "--parsable", "--partition=urgent", f"--cpus-per-task={os.cpu_count()}", "--mem=100"),
        *("--output=/dev/null", "--wrap=true"),
    ).strip()
    untrained.until(lambda: urgent not in slurm.queue(), build)
    preempted = [job for job in {each.job for each in untrained.steps()} if was_preempted(untrained, job)]
    assert step.job in preempted
    for job in preempted:
        if mode == "REQUEUE":
            untrained.until(lambda job=job: slurm.queue().get(job) == "PENDING", build)
            slurm.start_now(job)
        else:
            assert slurm.state(job) == "PREEMPTED"
    untrained.ends(build)
    same(untrained)
    went_on(untrained, step)


def was_preempted(lab: Lab, job: str) -> bool:
    states = lab.slurm.ask("sacct", "-n", "-X", "-P", "--duplicates", "-j", job, "-o", "State").split()
    return "PREEMPTED" in states


def test_a_time_limit_is_no_failure(untrained: Lab, long: Project):
    """Of a training that needs several jobs none counts as failed: there is no second attempt that could be used up."""
    lasted = [pl.read_parquet(path)["train_seconds"].max() for path in long.folder.glob("runs/laptop/*/timing.parquet")]
    steps = int(50 * LONG / max(lasted))
    untrained.edit("params.yaml", f"steps: {LONG}", f"steps: {steps}")
    untrained.edit("params.yaml", "[gelu, relu]", "[gelu]")
    untrained.executed(minutes=1)
    untrained.edit("workflow/profiles/slurm/config.yaml", "retries: 3", "retries: 0")
    untrained.run(BUILD)
    (run,) = untrained.runs().values()
    assert run["outcome"] == "finished"
    # Each job saved after its last step, before Slurm would have killed it: no step was taken twice.
    assert [step.number for step in untrained.steps()] == list(range(steps))
    jobs = {step.job for step in untrained.steps()}
    assert len(jobs) > 1
    assert "TIMEOUT" not in {untrained.slurm.state(job) for job in jobs}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_build_that_is_told_to_stop_cancels_its_jobs_after_they_have_saved(
    untrained: Lab, same: Same, number: signal.Signals
):
    build = untrained.begin(BUILD)
    step = untrained.training(build)
    build.send_signal(number)
    untrained.ends(build, fails=True)
    assert untrained.slurm.queue() == {}
    reached = untrained.steps(step.run)[-1].number
    untrained.run(BUILD)
    same(untrained)
    (again, *_) = (each for each in untrained.steps(step.run) if each.process != step.process)
    assert again.number == reached + 1  # saved after the last step it took: none was taken twice
