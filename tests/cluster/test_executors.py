"""What the queue says of a job, told so that Snakemake takes an end for one."""

from __future__ import annotations

import pytest

from nervelab.cluster.executors import Ends


@pytest.mark.parametrize(
    ("said", "told"),
    [("RUNNING", "RUNNING"), ("COMPLETED", "COMPLETED"), ("CANCELLED by 0", "CANCELLED"), ("CANCELLED+", "CANCELLED")],
)
def test_what_is_plain_is_told_as_it_is(said: str, told: str):
    assert Ends().told({"1": said, "2": "PENDING"}) == {"1": told, "2": "PENDING"}


@pytest.mark.parametrize("state", ["PREEMPTED", "NODE_FAIL"])
def test_what_the_plugin_would_wait_on_for_ever_is_an_end_once_it_was_said_twice(state: str):
    ends = Ends()
    assert ends.told({"1": state}) == {"1": "RUNNING"}
    assert ends.told({"1": state}) == {"1": "CANCELLED"}
    assert ends.true["1"] == state


def test_a_job_that_slurm_puts_back_into_its_queue_goes_on():
    ends = Ends()
    told = [ends.told({"1": state})["1"] for state in ("RUNNING", "PREEMPTED", "PENDING", "PREEMPTED", "RUNNING")]
    assert told == ["RUNNING", "RUNNING", "PENDING", "RUNNING", "RUNNING"]


def test_a_job_that_the_queue_has_forgotten_has_ended():
    ends = Ends()
    ends.told({"1": "RUNNING", "2": "RUNNING"})
    assert ends.told({"2": "RUNNING"}) == {"1": "RUNNING", "2": "RUNNING"}
    assert ends.told({"2": "RUNNING"}) == {"1": "CANCELLED", "2": "RUNNING"}
    assert ends.true["1"] == "GONE"


def test_a_job_that_the_queue_has_not_shown_yet_is_not_told_of():
    assert Ends().told({}) == {}
