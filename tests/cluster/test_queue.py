"""The queue of a cluster, as a stand-in for squeue prints it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nervelab.cluster.queue import cancel, jobs_here, listed


@pytest.fixture
def squeue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Stand-ins for squeue, which prints the lines that it is given, and scancel, which notes what it was told."""
    commands, here = tmp_path / "commands", tmp_path / "here"
    commands.mkdir()
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("PATH", f"{commands}{os.pathsep}{os.environ['PATH']}")

    def command(name: str, script: str) -> None:
        path = commands / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def answers(*lines: str, status: int = 0) -> None:
        (commands / "lines").write_text("".join(f"{line}\n" for line in lines))
        command("squeue", f'echo "$SQUEUE_STATES $*" > {commands}/asked; cat {commands}/lines; exit {status}')
        command("scancel", f'echo "$*" >> {commands}/cancelled')

    answers.commands = commands
    return answers


def test_jobs_are_those_of_this_folder_that_have_not_ended(squeue, tmp_path: Path):
    here, other = tmp_path / "here", tmp_path
    squeue(
        f"11|RUNNING|node1|None|{here}|rule_train_wildcards_laptop_decoder-a-0123456789",
        f"12|PENDING||None|{here}|rule_train_together_wildcards_laptop_aaaaaaaaaa+bbbbbbbbbb_0",
        f"13|COMPLETED||None|{here}|rule_train",
        f"14|RUNNING|node2|None|{other}|rule_train",
    )
    jobs = jobs_here()
    assert [(job.id, job.node, job.waits) for job in jobs] == [("11", "node1", False), ("12", "", True)]
    assert jobs[0].trains("0123456789")
    assert [job.trains(id) for id in ("aaaaaaaaaa", "bbbbbbbbbb", "0123456789") for job in jobs[1:]] == [
        True,
        True,
        False,
    ]


@pytest.mark.parametrize(
    ("state", "living"),
    [("COMPLETING", True), ("SUSPENDED", True), ("REQUEUED", True), ("PREEMPTED", False), ("TIMEOUT", False)],
)
def test_a_job_lives_until_all_of_it_has_ended(squeue, tmp_path: Path, state: str, living: bool):
    squeue(f"11|{state}|n|None|{tmp_path / 'here'}|rule_train")
    assert bool(jobs_here()) is living


def test_a_link_to_the_folder_is_the_folder(squeue, tmp_path: Path):
    (tmp_path / "link").symlink_to(tmp_path / "here")
    squeue(f"11|RUNNING|n|None|{tmp_path / 'link'}|rule_train")
    assert [job.id for job in jobs_here()] == ["11"]


def test_a_persons_own_view_of_the_queue_hides_nothing(squeue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SQUEUE_STATES", "PENDING")
    squeue()
    assert jobs_here() == []
    assert "PENDING" not in (squeue.commands / "asked").read_text()


def test_a_queue_that_does_not_answer_is_none(squeue):
    squeue(status=1)
    assert jobs_here() is None


def test_without_slurm_there_is_no_queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert jobs_here() is None


def test_jobs_are_cancelled_by_their_ids_and_named_by_them(squeue, tmp_path: Path):
    squeue(*(f"{number}|RUNNING|n|None|{tmp_path / 'here'}|rule_train" for number in range(10, 17)))
    jobs = jobs_here()
    cancel(jobs[:2])
    cancel([])
    assert (squeue.commands / "cancelled").read_text() == "10 11\n"
    assert listed(jobs) == "jobs 10, 11, 12, 13, 14 and 2 more"
    assert listed(jobs[:1]) == "job 10"


@pytest.mark.parametrize("comment", ["(null)", "", "a notebook", "rule_trainer", "rule_index"])
def test_other_jobs_from_this_folder_are_let_be(squeue, tmp_path: Path, comment: str):
    squeue(f"11|PENDING||None|{tmp_path / 'here'}|{comment}")
    assert jobs_here() == []


def test_the_job_that_this_runs_in_is_not_among_them(squeue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SLURM_JOB_ID", "11")
    squeue(*(f"{number}|RUNNING|n|None|{tmp_path / 'here'}|rule_train" for number in (11, 12)))
    assert [job.id for job in jobs_here()] == ["12"]


@pytest.mark.parametrize(
    ("state", "reason", "hopeless"),
    [
        ("PENDING", "Resources", False),
        ("PENDING", "Priority", False),
        ("PENDING", "BeginTime", False),
        ("PENDING", "PartitionTimeLimit", True),
        ("PENDING", "JobHeldUser", True),
        ("PENDING", "QOSMaxWallDurationPerJobLimit", True),
        ("RUNNING", "None", False),
    ],
)
def test_a_job_that_cannot_start_is_told_from_one_that_waits(
    squeue, tmp_path: Path, state: str, reason: str, hopeless: bool
):
    squeue(f"11|{state}||{reason}|{tmp_path / 'here'}|rule_train_wildcards_x")
    assert jobs_here()[0].hopeless is hopeless
