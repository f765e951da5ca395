"""Telling a Snakemake that waits for jobs on a cluster from one that waits for nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from nervelab.build.supervise import Watchdog
from nervelab.cluster.queue import Job

JOB = Job("12", "PENDING", "", "Resources", "rule_train")


class World:
    """A queue, a log, the children of Snakemake and a clock, each as it is told."""

    def __init__(self, log: Path) -> None:
        self.now, self.jobs, self.below, self.log = 0.0, None, [], log
        self.said: list[str] = []
        log.write_text("")
        self.watchdog = Watchdog(log, self.said.append, queue=lambda: self.jobs, clock=lambda: self.now)

    def children(self, recursive: bool) -> list[Any]:
        assert recursive
        return self.below

    def stuck(self, minutes: int) -> bool:
        """Whether it is found stuck within so many minutes of looking four times a second."""
        for _ in range(minutes * 60 * 4):
            self.now += 0.25
            if self.watchdog.stuck(self):
                return True
        return False


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "log")


def test_where_no_job_was_ever_queued_none_is_missed(world: World):
    assert not world.stuck(60)
    world.jobs = []
    assert not world.stuck(60)


def test_an_empty_queue_in_silence_is_waited_on_for_minutes_only(world: World):
    world.jobs = [JOB]
    assert not world.stuck(60)
    world.jobs = []
    assert not world.stuck(5)
    assert world.stuck(5)


@pytest.mark.parametrize("sign", ["a job", "a process", "a line in the log", "no answer"])
def test_any_sign_of_life_is_enough(world: World, sign: str):
    world.jobs = [JOB]
    world.stuck(1)
    for _ in range(10):
        world.jobs = []
        assert not world.stuck(5)
        if sign == "a job":
            world.jobs = [JOB]
        elif sign == "a process":
            world.below = [SimpleNamespace(status=lambda: psutil.STATUS_SLEEPING)]
        elif sign == "a line in the log":
            world.log.write_text(world.log.read_text() + "a line\n")
        else:
            world.jobs = None
        assert not world.stuck(1)
        world.below = []


def test_what_is_left_of_an_ended_process_is_no_sign_of_life(world: World):
    world.jobs = [JOB]
    world.stuck(1)
    world.jobs, world.below = [], [SimpleNamespace(status=lambda: psutil.STATUS_ZOMBIE)]
    assert world.stuck(10)


def test_a_job_that_cannot_start_is_named_once(world: World):
    world.jobs = [JOB, replace(JOB, id="13", reason="PartitionTimeLimit")]
    assert not world.stuck(5)
    (said,) = world.said
    assert said.startswith(
        "job 13 waits and cannot start (PartitionTimeLimit): workflow/execution.yaml and the profile"
    )
