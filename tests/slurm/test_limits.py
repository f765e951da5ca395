"""A job that gives way to another, or that meets its time limit, has not failed: its run goes on in a new job."""

from __future__ import annotations

import os
from collections.abc import Callable

import polars as pl
import pytest

from tests.slurm.lab import LONG, Lab
from tests.support.project import Project

pytestmark = pytest.mark.slurm

BUILD = "nervelab build activation --profile slurm"
Same = Callable[[Lab], None]


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
    untrained.went_on(step)


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
