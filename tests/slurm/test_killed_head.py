"""A build that is killed leaves its jobs in the queue: the next one waits for them, and trains nothing twice."""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import suppress

import psutil
import pytest

from tests.slurm.lab import Lab

pytestmark = pytest.mark.slurm

BUILD = "nervelab build activation --profile slurm"
# In a PID namespace of its own a build does not see the processes of its jobs, as on a head node.
UNSEEN = f"unshare --pid --fork --mount-proc --kill-child {BUILD}"


def kill(root: int) -> None:
    """Kill a process and all that it has started; jobs are Slurm's."""
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(root)
        for each in [process, *process.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):
                each.send_signal(signal.SIGKILL)


@pytest.mark.parametrize(
    "command", [pytest.param(BUILD, marks=pytest.mark.slurm_short), UNSEEN], ids=["seen", "unseen"]
)
def test_the_next_build_waits_for_the_jobs_of_a_killed_one(untrained: Lab, same: Callable[[Lab], None], command: str):
    build = untrained.begin(command)
    step = untrained.training(build)
    untrained.until(lambda: len({each.job for each in untrained.steps()}) == 2, build)
    kill(build.pid)
    jobs = set(untrained.slurm.queue())
    assert step.job in jobs
    untrained.run(command)
    same(untrained)
    assert untrained.slurm.queue() == {}
    # Nobody but the jobs of the first build took a step, and no step was taken twice.
    steps = untrained.steps()
    at_work = {each.job for each in steps}
    assert at_work <= jobs
    assert {untrained.slurm.state(job) for job in at_work} == {"COMPLETED"}
    assert len(steps) == len({(each.run, each.number) for each in steps})


def test_a_snakemake_that_is_killed_is_followed_by_a_build(untrained: Lab, same: Callable[[Lab], None]):
    build = untrained.begin("snakemake --profile workflow/profiles/slurm activation")
    untrained.training(build)
    kill(build.pid)
    untrained.run(BUILD)
    same(untrained)
