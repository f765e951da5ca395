"""A running Snakemake: what it makes is shown, a wish to stop reaches its trainings, and it is not left waiting."""

from __future__ import annotations

import math
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

import psutil

from nervelab import layout, leases
from nervelab.build.locks import held
from nervelab.build.progress import View
from nervelab.cluster.queue import Job, cancel, jobs_here, listed
from nervelab.errors import NervelabError

STUCK = -1
"""The exit status of a Snakemake that waited for jobs of which the queue knows nothing, and was ended."""
_SECONDS_BETWEEN_VIEWS = 1.0
_SECONDS_BETWEEN_QUERIES = 20.0
# Longer than Snakemake's own longest pause between two looks at the queue (180 s), and than it takes to submit a job.
_PATIENCE = 400.0
_SECONDS_TO_SAVE = 120.0


def supervise(
    command: list[str],
    log: IO[str],
    environment: dict[str, str],
    lock: int,
    view: View,
    say: Callable[[str], None],
    *,
    submits: bool,
) -> int:
    """Run Snakemake and return its exit status, or `STUCK`, or 128 and the number of the signal that ended it.

    SIGTERM and SIGINT go to Snakemake and to the trainings under it: it would wait for their end, they save and stop.
    Where it `submits` jobs to a cluster, which no signal reaches, these are asked to save by a file, and cancelled once
    they have; a second signal cancels at once.
    """
    asked: list[int] = []
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.signal(number, lambda number, _: asked.append(number)) for number in numbers}
    process = subprocess.Popen(
        command, stdout=log, stderr=subprocess.STDOUT, env=environment, pass_fds=[lock], start_new_session=True
    )
    snakemake, watchdog = psutil.Process(process.pid), Watchdog(Path(log.name), say)
    handed_on: set[int] = set()
    viewed = -math.inf
    try:
        while process.poll() is None:
            if time.monotonic() - viewed >= _SECONDS_BETWEEN_VIEWS:
                view.update()
                viewed = time.monotonic()
            if asked and submits:
                _stop_jobs(snakemake, asked, say)
                try:
                    process.wait(_SECONDS_TO_SAVE)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
                cancel(jobs_here() or ())  # what was being submitted just then
            elif asked:
                _hand_on(asked[-1], process.pid, handed_on)
            elif submits and watchdog.stuck(snakemake):
                say("Snakemake waits for jobs that the queue does not have: starting it again")
                process.kill()
                process.wait()
                return STUCK
            time.sleep(0.25)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    view.update()
    return 128 + asked[-1] if asked and process.returncode else process.returncode


class Watchdog:
    """Tells a Snakemake that waits for jobs on a cluster from one that waits for nothing."""

    def __init__(
        self,
        log: Path,
        say: Callable[[str], None],
        *,
        queue: Callable[[], list[Job] | None] = jobs_here,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.log, self.say, self.queue, self.clock = log, say, queue, clock
        self._expecting = False
        self._said: set[str] = set()  # the ids of jobs that were said not to start
        self._asked = -math.inf
        self._quiet: tuple[float, int] | None = None  # since when nothing happened, and how long the log was then

    def stuck(self, snakemake: psutil.Process) -> bool:
        """Whether it has had no job in the queue, no process below it and no word to say for too long."""
        now = self.clock()
        if now - self._asked < _SECONDS_BETWEEN_QUERIES:
            return False
        self._asked = now
        jobs = self.queue()
        self._expecting = self._expecting or bool(jobs)
        self._name_hopeless(jobs or ())
        said = self.log.stat().st_size
        busy = jobs is None or bool(jobs) or _has_children(snakemake)
        if not self._expecting or busy or self._quiet is None or self._quiet[1] != said:
            self._quiet = None if busy else (now, said)
            return False
        return now - self._quiet[0] >= _PATIENCE

    def _name_hopeless(self, jobs: Iterable[Job]) -> None:
        for job in jobs:
            if job.hopeless and job.id not in self._said:
                self._said.add(job.id)
                self.say(
                    f"job {job.id} waits and cannot start ({job.reason}): {layout.EXECUTION} and the profile say what "
                    "it asks for; scancel it after an edit, and it is submitted again"
                )


def await_left_jobs(say: Callable[[str], None], *, seconds: float = 5.0) -> None:
    """Wait until no job of an earlier build of this folder runs on the cluster; those that only wait are cancelled.

    Whoever submitted them is gone, so nobody else would look after them. Of a job that does not come to its end, as its
    node is gone perhaps, the leases of its runs say whether it lives.

    Raises:
        NervelabError: a person stopped the waiting.
    """
    said, ending = False, 0.0
    try:
        while jobs := jobs_here():
            cancel(job for job in jobs if job.waits)
            running = [job for job in jobs if not job.waits]
            if running and not said:
                say(
                    f"{listed(running)} of a build that was killed still run: waiting for their end (scancel ends them)"
                )
                said = True
            ending = ending + seconds if all(job.state == "COMPLETING" for job in jobs) else 0.0
            if ending > _PATIENCE:
                say(f"{listed(jobs)} do not come to their end: going on without waiting for them")
                return
            time.sleep(seconds)
    except KeyboardInterrupt:
        raise NervelabError("stopped while it waited for jobs of a build that was killed; they go on.") from None


def _stop_jobs(snakemake: psutil.Process, asked: list[int], say: Callable[[str], None]) -> None:
    """Let the jobs on the cluster save, then have Snakemake, which stands still meanwhile, cancel them."""
    with suppress(psutil.NoSuchProcess):
        snakemake.suspend()
        jobs = jobs_here()
        cancel(job for job in jobs or () if job.waits)
        folders = [folder for folder in _at_work(jobs) if leases.ask_to_stop(folder)]
        if folders:
            say(f"asking {len(folders)} training{'s' if len(folders) > 1 else ''} to save; once more cancels at once")
        end = time.monotonic() + _SECONDS_TO_SAVE
        while len(asked) == 1 and time.monotonic() < end and any(map(leases.holder, folders)):
            time.sleep(0.5)
        snakemake.send_signal(signal.SIGINT)  # at which it cancels what it knows of; at SIGTERM it would wait
        snakemake.resume()


def _at_work(jobs: list[Job] | None) -> Iterator[Path]:
    """The checkpoint folders whose lease somebody holds who lives, as far as can be told from the queue's `jobs`."""
    ids = None if jobs is None else {job.id for job in jobs}
    for folder in sorted(layout.CHECKPOINTS.glob("*")):
        holder = leases.holder(folder)
        if holder is None:
            continue
        killed = holder.host == socket.gethostname() and not held(folder / "lock")
        if not killed and (holder.job is None or ids is None or holder.job in ids):
            yield folder


def _has_children(process: psutil.Process) -> bool:
    try:
        return any(child.status() != psutil.STATUS_ZOMBIE for child in process.children(recursive=True))
    except psutil.Error:  # it ended meanwhile
        return True


def _hand_on(number: int, root: int, handed_on: set[int]) -> None:
    """Send a signal, once to each, to Snakemake and to every training below it."""
    with suppress(psutil.NoSuchProcess):
        snakemake = psutil.Process(root)
        for process in (snakemake, *snakemake.children(recursive=True)):
            with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                mine = process.pid == root or "nervelab.training" in process.cmdline()
                if mine and process.pid not in handed_on:
                    process.send_signal(number)
                    handed_on.add(process.pid)
