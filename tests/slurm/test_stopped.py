"""A build that is told to stop has its jobs save, and leaves none in the queue."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

from tests.slurm.lab import Lab

pytestmark = pytest.mark.slurm

BUILD = "nervelab build activation --profile slurm"
Same = Callable[[Lab], None]


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
