"""Checkpoints: everything a run needs to go on as if it had never stopped."""

from __future__ import annotations

import hashlib
import io
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import IO, Any

import torch

from nervelab.errors import NervelabError
from nervelab.files import write_json, write_with
from nervelab.leases import LEASE, Lease, holder, locked, take
from nervelab.training.preemption import StopRequest

SAVING_SHARE = 1 / 50
# The file begins with the sha256 of the rest: torch tells damage by many kinds of exception, or not at all.
DIGEST_SIZE = 32
REMEDY = "delete it and the run starts from its beginning."


class Checkpoints:
    """The checkpoint in `folder` of the run with the id `run`, replaced atomically by the holder of its `lease`."""

    def __init__(self, folder: Path, seconds: float, run: str = "", lease: Lease | None = None) -> None:
        self.run, self.lease = run, lease
        self.path = folder / "state.pt"
        self.progress = folder / "progress.json"
        self.seconds = seconds
        self.longest_save = 0.0  # seconds
        self._pause = seconds
        self._saved = self._told = time.monotonic()
        self._begun: tuple[float, int] | None = None  # when this execution ended its first step, and which that was
        self._note: dict[str, Any] = {"saved": 0}

    def load(self) -> dict[str, Any] | None:
        """The last state saved, on the CPU, or None.

        Raises:
            NervelabError: the file is damaged, or holds anything but a state of this run.
        """
        if not self.path.exists():
            return None
        # Unbuffered, for what lies in a buffer already would be joined to the rest in a copy of both.
        with self.path.open("rb", buffering=0) as file:
            digest, content = file.read(DIGEST_SIZE), file.read()
        if hashlib.sha256(content).digest() != digest:
            raise NervelabError(f"{self.path} is damaged: {REMEDY}")
        try:
            saved = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
            run, state = saved["run"], saved["state"]
        except Exception as error:  # of what is no checkpoint torch complains in many ways
            raise NervelabError(f"{self.path} is no checkpoint: {REMEDY}") from error
        if run != self.run:
            raise NervelabError(f"{self.path} is a checkpoint of the run {run}, not of {self.run}: {REMEDY}")
        self._note["saved"] = state.get("step", 0)
        return state

    def due(self) -> bool:
        """Whether enough time has passed since the last save."""
        return time.monotonic() - self._saved >= self._pause

    def save(self, state: dict[str, Any]) -> None:
        """Replace the checkpoint by `state`.

        Raises:
            NervelabError: the run has another trainer.
        """
        start = time.monotonic()
        if self.lease is not None:
            self.lease.require()
        # Serialised first: torch reports a full disk as an error of its own.
        content = io.BytesIO()
        torch.save({"run": self.run, "state": state}, content)
        write_with(self.path, partial(_fill, content=content.getbuffer()))
        self._note |= {"step": state.get("step", 0), "saved": state.get("step", 0)}
        write_json(self.progress, self._note)  # whoever counts attempts asks whether this one moved on
        self._saved = time.monotonic()
        self.longest_save = max(self.longest_save, self._saved - start)
        self._pause = max(self.seconds, (self._saved - start) / SAVING_SHARE)

    def tell(self, step: int, total: int) -> None:
        """Leave a note of the progress, with the seconds left at this pace, for whoever watches; twice a second.

        Raises:
            NervelabError: the run has another trainer.
        """
        now = time.monotonic()
        self._begun = self._begun or (now, step)
        if now - self._told >= 0.5:
            if self.lease is not None:
                self.lease.require()
            begun, first = self._begun
            left = (now - begun) * (total - step) / (step - first) if step > first else None
            self._note |= {"step": step, "steps": total, "seconds_left": left}
            write_json(self.progress, self._note)
            self._told = now


def _fill(path: Path, content: memoryview) -> None:
    with path.open("wb") as file:
        file.write(hashlib.sha256(content).digest())
        file.write(content)


@contextmanager
def sole_owner(folder: Path, stop: StopRequest) -> Iterator[Lease]:
    """Hold the run's lock and its lease: of two trainings of one run, on any two machines, the second waits.

    It waits until the first has ended, however it did.

    Raises:
        Stopped: it was asked to stop while it waited.
    """
    lock = folder / "lock"
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            file = lock.open("wb")
        except FileNotFoundError:  # whoever held it cleared the folder meanwhile
            continue
        with file:
            while not locked(file, folder):
                _heed(stop)
                time.sleep(0.1)
            # The lock that was waited for may have been removed by its holder: then it locks nothing any more.
            lease = take(folder, waiting=_patience(folder, stop)) if _lies_at(file, lock) else None
            if lease is None:
                continue
            try:
                if _lies_at(file, lock):
                    yield lease.start()
                    return
            finally:
                lease.release()


def _patience(folder: Path, stop: StopRequest) -> Callable[[], None]:
    """What is done while another holds the lease: its holder is named once, and a wish to stop is heeded."""
    named: list[str] = []

    def wait() -> None:
        _heed(stop)
        found = holder(folder)
        if found is not None and found.nonce not in named:
            named.append(found.nonce)
            job = f", job {found.job}" if found.job else ""
            sys.stderr.write(f"{folder.name} is being trained on {found.host}{job}: waiting for its end\n")

    return wait


def _lies_at(file: IO[bytes], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _heed(stop: StopRequest) -> None:
    asked = stop.asked()
    if asked is not None:
        raise asked


def clear(lease: Lease) -> None:
    """Remove the checkpoint of a run that has ended; called by its holder, whose lease and lock go last."""
    if not lease.still_held():
        return
    folder, last = lease.folder, (LEASE, "lock")
    for path in folder.iterdir():
        if path.name not in last:
            path.unlink(missing_ok=True)
    lease.release()
    (folder / "lock").unlink(missing_ok=True)
    # The next in the queue may have put its own there by now.
    with suppress(OSError):
        folder.rmdir()
