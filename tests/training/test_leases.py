"""A run has one trainer on any two machines: who waits, who takes over, and when."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from nervelab.build import locks
from nervelab.errors import NervelabError
from nervelab.leases import (
    LEASE,
    STOP,
    Holder,
    Lease,
    ask_to_stop,
    holder,
    locked,
    refuse_without_flock,
    take,
)

HERE = Holder(host="here", boot="b1", pid=1, job=None, restart=0, nonce="aa")
THERE = Holder(host="there", boot="b2", pid=2, job=None, restart=0, nonce="bb")
BEAT = 60.0


class Waited(Exception):
    """Ends a wait that would have gone on."""


class Hours:
    """A clock and a sleep of the test's own: `patience` seconds pass, then the wait is ended."""

    def __init__(self, patience: float = 0.0, each: Callable[[float], object] = lambda _: None) -> None:
        self.now, self.patience, self.each = 1000.0, patience, each
        self.end = self.now + patience

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.each(self.now)

    def waiting(self) -> None:
        if self.now >= self.end:
            raise Waited

    def take(self, folder: Path, mine: Holder) -> Lease | None:
        clock = lambda: self.now  # noqa: E731
        return take(folder, waiting=self.waiting, sleep=self.sleep, clock=clock, mine=mine, beat_seconds=BEAT)


def taken(folder: Path, mine: Holder = THERE) -> Lease:
    lease = take(folder, mine=mine)
    assert lease is not None
    return lease


@pytest.fixture
def squeue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Puts a script on PATH that answers as the queue; what it was asked is in the file that is returned."""
    commands = tmp_path / "commands"
    commands.mkdir()

    def answer(script: str) -> Path:
        asked = tmp_path / "asked"
        path = commands / "squeue"
        path.write_text(f'#!/bin/sh\necho "$@" "${{SQUEUE_STATES-}}" >> {asked}\n{script}\n')
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return asked

    monkeypatch.setenv("PATH", f"{commands}{os.pathsep}/usr/bin{os.pathsep}/bin")
    return answer


def test_a_lease_says_who_holds_it_and_is_given_back(tmp_path: Path):
    assert holder(tmp_path) is None
    lease = taken(tmp_path, Holder.here())
    found = holder(tmp_path)
    assert found is not None
    assert (found.pid, found.beat) == (os.getpid(), 1)
    lease.beat()
    assert holder(tmp_path).beat == 2
    assert replace(holder(tmp_path), beat=1, at=found.at) == found
    assert lease.still_held()
    lease.release()
    assert not list(tmp_path.iterdir())
    assert not lease.still_held()


def test_without_a_folder_there_is_no_lease(tmp_path: Path):
    assert take(tmp_path / "gone") is None


def test_a_holder_on_another_machine_is_waited_for(tmp_path: Path):
    lease = taken(tmp_path)
    given_back = Hours(3600, lambda now: lease.release() if now >= 1010 else None)
    assert given_back.take(tmp_path, HERE).still_held()
    assert given_back.now == 1010


def test_who_waits_can_be_stopped(tmp_path: Path):
    taken(tmp_path)
    with pytest.raises(Waited):
        Hours().take(tmp_path, HERE)
    assert holder(tmp_path).nonce == "bb"


def test_a_holder_on_this_machine_whose_lock_is_free_is_dead(tmp_path: Path):
    taken(tmp_path, replace(HERE, pid=77, nonce="cc"))
    assert Hours().take(tmp_path, HERE).still_held()
    assert [path.name for path in tmp_path.iterdir()] == [LEASE]


def test_a_holder_of_an_earlier_start_of_this_machine_is_not_known_to_be_dead(tmp_path: Path):
    """Another machine may have its name."""
    taken(tmp_path, replace(HERE, boot="b0", nonce="cc"))
    with pytest.raises(Waited):
        Hours(2 * BEAT).take(tmp_path, HERE)


def test_five_missed_beats_are_enough_and_fewer_are_not(tmp_path: Path):
    taken(tmp_path)
    with pytest.raises(Waited):
        Hours(5 * BEAT - 1).take(tmp_path, HERE)
    watched = Hours(5 * BEAT + 2)
    assert watched.take(tmp_path, HERE).still_held()
    assert watched.now >= 1000 + 5 * BEAT


def test_a_holder_that_renews_is_never_taken_for_dead(tmp_path: Path):
    lease = taken(tmp_path)
    with pytest.raises(Waited):
        Hours(3600, lambda now: lease.beat() if now % 240 == 0 else None).take(tmp_path, HERE)
    assert lease.still_held()


def test_a_time_in_which_who_waits_stood_still_was_not_watched(tmp_path: Path):
    taken(tmp_path)
    hours = Hours(2 * 10 * BEAT - 1)
    hours.sleep = lambda _: setattr(hours, "now", hours.now + 10 * BEAT)
    with pytest.raises(Waited):
        hours.take(tmp_path, HERE)


def test_a_damaged_lease_is_watched_as_any_other(tmp_path: Path):
    (tmp_path / LEASE).write_bytes(b'{"nonce": 3')
    assert holder(tmp_path) is None
    with pytest.raises(Waited):
        Hours(4 * BEAT).take(tmp_path, HERE)
    assert Hours(6 * BEAT).take(tmp_path, HERE).still_held()


@pytest.mark.parametrize(
    "script",
    [
        "echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1",
        "exit 0",
        "echo 42 TIMEOUT",
        "echo 42 CANCELLED",
        "echo 41 RUNNING; echo 42 COMPLETED",
    ],
)
def test_a_holder_whose_job_has_ended_is_taken_over_at_once(tmp_path: Path, squeue: Callable, script: str):
    squeue(script)
    (folder := tmp_path / "run").mkdir()
    taken(folder, replace(THERE, job="42"))
    assert Hours().take(folder, HERE).still_held()


@pytest.mark.parametrize("state", ["RUNNING", "SUSPENDED", "COMPLETING", "SOMETHING_NEW"])
def test_a_holder_whose_job_lives_is_waited_for_however_long_it_is_silent(
    tmp_path: Path, squeue: Callable, monkeypatch: pytest.MonkeyPatch, state: str
):
    monkeypatch.setenv("SQUEUE_STATES", "PENDING")
    asked = squeue(f"echo 42 {state}")
    (folder := tmp_path / "run").mkdir()
    taken(folder, replace(THERE, job="42"))
    with pytest.raises(Waited):
        Hours(20 * BEAT).take(folder, HERE)
    questions = asked.read_text().splitlines()
    assert set(questions) == {"--noheader --states=all -j 42 -o %A %T "}
    assert len(questions) <= 20 * BEAT / 30 + 1


@pytest.mark.parametrize(
    "script", ["echo 'Unable to contact slurm controller' >&2; exit 1", "echo 42 PENDING", "echo 42 REQUEUE_HOLD"]
)
def test_where_the_queue_cannot_tell_beats_are_counted(tmp_path: Path, squeue: Callable, script: str):
    """Of a job that waits for a machine no process lives, unless its old machine was given up."""
    squeue(script)
    (folder := tmp_path / "run").mkdir()
    taken(folder, replace(THERE, job="42"))
    with pytest.raises(Waited):
        Hours(4 * BEAT).take(folder, HERE)
    assert Hours(6 * BEAT).take(folder, HERE).still_held()


def test_without_a_queue_beats_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    (folder := tmp_path / "run").mkdir()
    taken(folder, replace(THERE, job="42"))
    with pytest.raises(Waited):
        Hours(4 * BEAT).take(folder, HERE)


def test_a_job_that_was_requeued_takes_over_from_itself(tmp_path: Path, squeue: Callable):
    asked = squeue("echo 42 RUNNING")
    (folder := tmp_path / "run").mkdir()
    taken(folder, replace(THERE, job="42"))
    assert Hours().take(folder, replace(HERE, job="42", restart=1)).still_held()
    assert not asked.exists()


@pytest.mark.parametrize(
    ("script", "restarts"),
    [("echo '42                  3         '", 3), ("echo '42                  0         '", 0), ("exit 1", 0)],
)
def test_the_queue_tells_how_often_a_job_was_requeued(
    monkeypatch: pytest.MonkeyPatch, squeue: Callable, script: str, restarts: int
):
    squeue(script)
    monkeypatch.setenv("SLURM_JOB_ID", "42")
    assert (Holder.here().job, Holder.here().restart) == ("42", restarts)


def test_another_part_of_the_same_job_is_waited_for(tmp_path: Path, squeue: Callable):
    squeue("echo 42 RUNNING")
    (folder := tmp_path / "run").mkdir()
    taken(folder, replace(THERE, job="42"))
    with pytest.raises(Waited):
        Hours(4 * BEAT).take(folder, replace(HERE, job="42"))


def test_where_files_have_one_name_a_lease_is_as_exclusive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def no_links(*_: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", no_links)
    first = taken(tmp_path)
    with pytest.raises(Waited):
        Hours().take(tmp_path, HERE)
    assert first.still_held()


@pytest.mark.parametrize("round", range(10))
def test_of_many_that_take_over_one_holds_it(tmp_path: Path, round: int):
    """Each on a machine of its own, all of which have seen the last holder miss its beats."""
    taken(tmp_path)
    start, leases = threading.Barrier(8), []

    def race(number: int) -> None:
        hours = Hours(6 * BEAT)
        mine = replace(HERE, host=f"h{number}", boot=f"b{number}", nonce=f"n{number}")
        start.wait()
        try:
            leases.append(hours.take(tmp_path, mine))
        except Waited:
            return

    threads = [threading.Thread(target=race, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [lease.still_held() for lease in leases].count(True) == 1
    assert holder(tmp_path).nonce.startswith("n")
    assert [path.name for path in tmp_path.iterdir()] == [LEASE]


def test_one_who_takes_the_wrong_lease_away_puts_it_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Between its judgement and its deed another takes over."""
    taken(tmp_path)
    other = []
    rename = Path.rename

    def late(path: Path, target: Path) -> Path:
        if not other:
            rename(path, path.with_name("aside"))
            other.append(taken(tmp_path, replace(HERE, host="third", nonce="cc")))
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", late)
    with pytest.raises(Waited):
        Hours(6 * BEAT).take(tmp_path, HERE)
    assert other[0].still_held()


def test_a_lost_lease_is_noticed_and_not_renewed(tmp_path: Path):
    lease = taken(tmp_path)
    (tmp_path / LEASE).unlink()
    other = taken(tmp_path, HERE)
    before = (tmp_path / LEASE).read_bytes()
    lease.beat()
    with pytest.raises(NervelabError, match=r"lease\.json is no longer this training's \(process 1 on here has taken"):
        lease.require()
    lease.release()
    assert (tmp_path / LEASE).read_bytes() == before
    assert other.still_held()


def test_a_lease_that_was_deleted_is_lost(tmp_path: Path):
    lease = taken(tmp_path)
    (tmp_path / LEASE).unlink()
    with pytest.raises(NervelabError, match="it was taken away"):
        lease.require()
    assert not list(tmp_path.iterdir())


def test_a_holder_is_asked_to_stop_and_no_other_one(tmp_path: Path):
    assert not ask_to_stop(tmp_path)
    first = taken(tmp_path)
    assert ask_to_stop(tmp_path)
    (tmp_path / LEASE).unlink()
    second = taken(tmp_path, HERE)
    second.look()
    assert not second.asked_to_stop()
    assert not (tmp_path / STOP).exists()
    ask_to_stop(tmp_path)
    second.look()
    assert second.asked_to_stop()
    assert not first.asked_to_stop()
    second.release()
    assert not list(tmp_path.iterdir())


def test_what_is_no_request_is_removed(tmp_path: Path):
    lease = taken(tmp_path)
    for content in (b"", b"[]", b"\xff", b'{"nonce": null}'):
        (tmp_path / STOP).write_bytes(content)
        lease.look()
        assert not (tmp_path / STOP).exists()
        assert not lease.asked_to_stop()


def test_it_is_renewed_and_looked_at_by_a_thread_of_its_own(tmp_path: Path):
    lease = take(tmp_path, mine=THERE, beat_seconds=0.001).start()
    asked = ask_to_stop(tmp_path)
    while not lease.asked_to_stop() or (found := holder(tmp_path)) is None or found.beat < 3:
        assert asked
    lease.release()
    assert not list(tmp_path.iterdir())


OWNER = """
import os, signal, sys
from pathlib import Path
from nervelab.training.checkpoint import sole_owner
from nervelab.training.preemption import StopRequest
with sole_owner(Path(sys.argv[1]), StopRequest()) as lease:
    print("held", flush=True)
    sys.stdin.read()
"""


def owner(folder: Path) -> subprocess.Popen:
    command = [sys.executable, "-c", OWNER, str(folder)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_on_one_machine_the_next_trainer_follows_one_that_was_killed_at_once(tmp_path: Path):
    """A watch of five beats would outlast this test's own limit."""
    first = owner(tmp_path)
    assert first.stdout.readline() == "held\n"
    held = holder(tmp_path)
    assert held.pid == first.pid
    second = owner(tmp_path)
    first.kill()
    assert second.stdout.readline() == "held\n"
    assert holder(tmp_path).pid == second.pid
    second.communicate()
    first.communicate()
    assert holder(tmp_path) is None


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL])
@pytest.mark.parametrize("ask", ["locked", "sole_build", "claim_build", "hold_job"])
def test_a_file_system_without_flock_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, ask: str
):
    def refused(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(fcntl, "flock", refused)

    def asked() -> None:
        if ask == "locked":
            with Path("lock").open("wb") as file:
                locked(file, tmp_path)
        elif ask == "sole_build":
            with locks.sole_build(print):
                pass
        else:
            {"claim_build": locks.claim_build, "hold_job": lambda: locks.hold_job("tokens-a")}[ask]()

    with pytest.raises(NervelabError) as caught:
        asked()
    place = tmp_path / ".locks" if ask == "hold_job" else tmp_path
    assert str(caught.value) == (
        f"the file system of {place} does not support flock: mount it with flock (Lustre: -o flock; NFS: version 4), "
        "or work in another folder."
    )


def test_a_lock_that_locks_nobody_out_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    refuse_without_flock(tmp_path)
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr(fcntl, "flock", lambda *_: None)
    with pytest.raises(NervelabError, match="does not support flock"):
        refuse_without_flock(tmp_path)
