"""A running Snakemake: what it makes is shown, a wish to stop reaches its trainings, and it is not left waiting."""

from __future__ import annotations

import math
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

import psutil

from nervelab import layout, leases
from nervelab.build.locks import held
from nervelab.build.progress import View
from nervelab.cluster.queue import Job, cancel, jobs_here, listed

STUCK = -1
"""The exit status of a Snakemake that waited for jobs of which the queue knows nothing, and was ended."""
_SECONDS_BETWEEN_VIEWS = 1.0
_SECONDS_BETWEEN_QUERIES = 20.0
# Longer than Snakemake's own longest pause between two looks at the queue (180 s), and than it takes to submit a job.
_PATIENCE = 400.0
_SECONDS_TO_SAVE = 120.0


def supervise(
    command: list[str], log: IO[str], environment: dict[str, str], lock: int, view: View, say: Callable[[str], None]
) -> int:
    """Run Snakemake and return its exit status, or `STUCK`, or 128 and the number of the signal that ended it.

    SIGTERM and SIGINT go to Snakemake and to the trainings under it: it would wait for their end, they save and stop.
    Jobs on a cluster, which no signal reaches, are asked to save by a file, and cancelled once they have; a second
    signal cancels at once.
    """
    asked: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: asked.append(number))
    process = subprocess.Popen(
        command, stdout=log, stderr=subprocess.STDOUT, env=environment, pass_fds=[lock], start_new_session=True
    )
    snakemake, watchdog = psutil.Process(process.pid), Watchdog(Path(log.name))
    handed_on: set[int] = set()
    viewed = -math.inf
    while process.poll() is None:
        if time.monotonic() - viewed >= _SECONDS_BETWEEN_VIEWS:
            view.update()
            viewed = time.monotonic()
        if asked and not handed_on and (watchdog.expecting or _held_elsewhere(snakemake)):
            _stop_jobs(snakemake, asked, say)
            handed_on.add(process.pid)
        elif asked:
            _hand_on(asked[-1], process.pid, handed_on)
        elif watchdog.stuck(snakemake):
            say("Snakemake waits for jobs that the queue does not have: starting it again")
            process.kill()
            process.wait()
            return STUCK
        time.sleep(0.25)
    if asked:
        cancel(jobs_here() or ())  # what was being submitted just then
    view.update()
    return 128 + asked[-1] if asked and process.returncode else process.returncode


class Watchdog:
    """Tells a Snakemake that waits for jobs on a cluster from one that waits for nothing."""

    def __init__(
        self,
        log: Path,
        *,
        queue: Callable[[], list[Job] | None] = jobs_here,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.log, self.queue, self.clock = log, queue, clock
        self.expecting = False
        self._asked = -math.inf
        self._quiet: tuple[float, int] | None = None  # since when nothing happened, and how long the log was then

    def stuck(self, snakemake: psutil.Process) -> bool:
        """Whether it has had no job in the queue, no process below it and no word to say for too long."""
        now = self.clock()
        if now - self._asked < _SECONDS_BETWEEN_QUERIES:
            return False
        self._asked = now
        jobs = self.queue()
        self.expecting = self.expecting or bool(jobs)
        said = self.log.stat().st_size
        busy = jobs is None or bool(jobs) or _has_children(snakemake)
        if not self.expecting or busy or self._quiet is None or self._quiet[1] != said:
            self._quiet = None if busy else (now, said)
            return False
        return now - self._quiet[0] >= _PATIENCE


def await_left_jobs(say: Callable[[str], None], *, seconds: float = 5.0) -> None:
    """Wait until no job of an earlier build of this folder runs on the cluster; those that only wait are cancelled.

    Whoever submitted them is gone, so nobody else would look after them.
    """
    said = False
    while jobs := jobs_here():
        cancel(job for job in jobs if job.waits)
        running = [job for job in jobs if not job.waits]
        if running and not said:
            say(f"{listed(running)} of a build that was killed still run: waiting for their end (scancel ends them)")
            said = True
        time.sleep(seconds if running else 0.5)


def _stop_jobs(snakemake: psutil.Process, asked: list[int], say: Callable[[str], None]) -> None:
    """Let the jobs on the cluster save, then have Snakemake, which stands still meanwhile, cancel them."""
    snakemake.suspend()
    jobs = jobs_here() or ()
    cancel(job for job in jobs if job.waits)
    folders = [folder for folder, _ in _at_work() if leases.ask_to_stop(folder)]
    if folders:
        say(f"asking {len(folders)} training{'s' if len(folders) > 1 else ''} to save, then cancelling what is queued")
    end = time.monotonic() + _SECONDS_TO_SAVE
    while len(asked) == 1 and time.monotonic() < end and any(map(leases.holder, folders)):
        time.sleep(0.5)
    snakemake.send_signal(signal.SIGINT)  # at which it cancels what it knows of; at SIGTERM it would wait
    snakemake.resume()


def _held_elsewhere(snakemake: psutil.Process) -> bool:
    """Whether a training that is no process below Snakemake holds a lease, as one that any other command submitted."""
    below = {process.pid for process in snakemake.children(recursive=True)}
    return any(holder.host != socket.gethostname() or holder.pid not in below for _, holder in _at_work())


def _at_work() -> Iterator[tuple[Path, leases.Holder]]:
    """The checkpoint folders whose lease is held, by whom; one that was killed on this machine holds none any more."""
    for folder in sorted(layout.CHECKPOINTS.glob("*")):
        holder = leases.holder(folder)
        if holder is not None and (holder.host != socket.gethostname() or held(folder / "lock")):
            yield folder, holder


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
