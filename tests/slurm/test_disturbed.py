"""Whatever ends a job, its run goes on from its checkpoint: trained once, and the same to the last byte."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest

from tests.slurm.lab import Lab

pytestmark = pytest.mark.slurm

BUILD = "nervelab build activation --profile slurm"
SNAKEMAKE = "snakemake --profile workflow/profiles/slurm activation"
Same = Callable[[Lab], None]


def test_a_trainer_that_is_killed_once(untrained: Lab, same: Same):
    build = untrained.begin(SNAKEMAKE)
    step = untrained.training(build)
    os.kill(int(step.process), signal.SIGKILL)
    untrained.ends(build)
    same(untrained)
    untrained.went_on(step)


@pytest.mark.slurm_short
def test_a_job_that_is_cancelled(untrained: Lab, same: Same):
    build = untrained.begin(BUILD)
    step = untrained.training(build)
    untrained.slurm.run("scancel", step.job)
    untrained.ends(build)
    assert untrained.slurm.state(step.job) == "CANCELLED"
    same(untrained)
    untrained.went_on(step)


def test_a_job_that_is_requeued(untrained: Lab, same: Same):
    build = untrained.begin(SNAKEMAKE)
    step = untrained.training(build)
    untrained.slurm.run("scontrol", "requeue", step.job)
    untrained.until(lambda: untrained.slurm.queue().get(step.job) == "PENDING", build)
    untrained.slurm.start_now(step.job)
    untrained.ends(build)
    same(untrained)
    untrained.went_on(step)
    assert {each.job for each in untrained.steps(step.run)} == {step.job}


def test_a_job_that_several_trainings_share_is_cancelled_in_its_second(untrained: Lab, same: Same):
    untrained.executed(together=2)
    build = untrained.begin(BUILD)
    first = untrained.training(build)
    untrained.until(lambda: {each.run for each in untrained.steps()} > {first.run}, build)
    second = untrained.steps()[-1]
    untrained.until(lambda: untrained.steps(second.run)[-1].number > 500, build)
    untrained.slurm.run("scancel", second.job)
    untrained.ends(build)
    same(untrained)
    assert {each.job for each in untrained.steps(first.run)} == {second.job}
    untrained.went_on(second)
