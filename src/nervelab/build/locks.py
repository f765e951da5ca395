"""One build at a time in one folder, and no lock that outlives its owner."""

import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from nervelab.errors import NervelabError
from nervelab.files import remove_half_written
from nervelab.leases import locked, refuse_without_flock

LOCK = Path(".nervelab.lock")
SNAKEMAKE_LOCKS = Path(".snakemake/locks")
DVC_LOCK = Path(".dvc/tmp/rwlock")
JOB_LOCKS = Path(".locks")
_TRIES, _SECONDS_BETWEEN_TRIES = 5, 0.1


@contextmanager
def sole_build(say: Callable[[str], None]) -> Iterator[int]:
    """Hold the folder's build lock, waiting for a live owner. Yields the file descriptor.

    Children that inherit the descriptor hold the lock too: a build that was killed while its Snakemake lives on is
    waited for like any other.

    Raises:
        NervelabError: the folder's file system has no locks.
    """
    descriptor = os.open(LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        refuse_without_flock(Path())
        if not locked(descriptor, Path()):
            say(f"another build is running here (process {owner()}); waiting for it to end")
            locked(descriptor, Path(), wait=True)
        _name_owner(descriptor)
        yield descriptor
        os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def held(lock: Path) -> bool:
    """Whether a living process holds the lock on this file."""
    try:
        with lock.open("rb") as file:
            return not locked(file, lock.parent, fcntl.LOCK_SH)
    except FileNotFoundError:
        return False


def hold_job(name: str, *folders: Path) -> None:
    """Hold the lock of a job of the workflow until this process ends, waiting for a live owner.

    That is one that outlived its Snakemake: it writes the files that its successor would. What an owner that was killed
    left half-written in `folders`, which nobody else writes to, is removed.
    """
    JOB_LOCKS.mkdir(exist_ok=True)
    descriptor = os.open(JOB_LOCKS / name, os.O_RDWR | os.O_CREAT, 0o644)  # closed, like the lock, by the end alone
    locked(descriptor, JOB_LOCKS, wait=True)
    for folder in folders:
        remove_half_written(folder)


def claim_build() -> None:
    """Hold the folder's build lock for as long as this process lives, unless it or a process above it does already.

    Raises:
        NervelabError: another build is running here, or the folder's file system has no locks.
    """
    descriptor = os.open(LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    refuse_without_flock(Path())
    this = psutil.Process()
    for _ in range(_TRIES):  # whoever asks whether it is held holds it for a moment
        if locked(descriptor, Path()):
            _name_owner(descriptor)
            return
        if owner() in {str(process.pid) for process in (this, *this.parents())}:
            os.close(descriptor)
            return
        time.sleep(_SECONDS_BETWEEN_TRIES)
    os.close(descriptor)
    raise NervelabError(
        f"another build is running in this folder (process {owner()}): wait for it to end or stop it, and try again."
    )


def clear_snakemake_locks(say: Callable[[str], None]) -> None:
    """Remove the locks of a Snakemake that was killed.

    Raises:
        NervelabError: a Snakemake that was started by hand is running here.
    """
    if not SNAKEMAKE_LOCKS.is_dir() or not any(SNAKEMAKE_LOCKS.iterdir()):
        return
    here = Path.cwd()
    alive = [process.pid for process in psutil.process_iter() if _is_snakemake_in(process, here)]
    if alive:
        raise NervelabError(
            f"a Snakemake is running in this folder (process {alive[0]}): wait for it or stop it, and try again."
        )
    say("clearing the lock of a Snakemake that was killed")
    unlock = [sys.executable, "-P", "-m", "snakemake", "--unlock", "-q", "all"]
    unlocked = subprocess.run(unlock, check=False, capture_output=True, encoding="utf-8")
    if unlocked.returncode != 0:
        sys.stderr.write(unlocked.stderr)
        raise NervelabError("Snakemake could not clear its lock, as it says above: mend that and try again.")


def clear_dvc_lock(say: Callable[[str], None]) -> None:
    """Remove the lock file of a DVC that was killed, also where it was cut off while writing it."""
    try:
        held = json.loads(DVC_LOCK.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return
    except json.JSONDecodeError:
        held = {}
    owners = [
        *held.get("write", {}).values(),
        *(each for readers in held.get("read", {}).values() for each in readers),
    ]
    if any(_is_dvc(each["pid"]) for each in owners):
        return
    if owners or not held:
        say("clearing the lock of a DVC that was killed")
    DVC_LOCK.unlink()


def _name_owner(descriptor: int) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)


def owner() -> str:
    """The process that holds the build lock, or that held it last."""
    return (LOCK.read_text(encoding="utf-8").strip() if LOCK.exists() else "") or "unknown"


def _is_dvc(pid: int) -> bool:
    try:
        return any("dvc" in Path(word).name for word in psutil.Process(pid).cmdline()[:3])
    except psutil.Error:  # it is gone
        return False


def _is_snakemake_in(process: psutil.Process, folder: Path) -> bool:
    try:
        words = process.cmdline()
        program = any(Path(word).name == "snakemake" for word in words[:3]) or words[2:4] == ["-m", "snakemake"]
        # The Snakemake inside a job works for another one, which may be gone; it holds no lock.
        return program and "--mode" not in words and Path(process.cwd()) == folder
    except psutil.Error:  # it ended meanwhile, or belongs to somebody else
        return False
