"""A lease on a run's checkpoint folder, which keeps two trainers out of one run on any two machines.

The lock on a file (flock) ends with its holder, but may end at the border of a machine; the lease is a file of its own,
which its holder renews, so that others see whether the holder lives. Both are held: first the lock, then the lease.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import secrets
import socket
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import IO

from nervelab import slurm
from nervelab.errors import NervelabError
from nervelab.files import write_json

LEASE = "lease.json"
STOP = "stop"
BEAT_SECONDS = 60.0
STOP_SECONDS = 2.0
LOOK_SECONDS = 1.0  # between two looks of one who waits
ASK_SECONDS = 30.0  # between two questions to the queue
MISSED_BEATS = 5
# A record keeps its size, so that it is renewed where it lies: renamed into place it could cover another's.
_SIZE = 512
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
_NO_FLOCK = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)


@dataclass(frozen=True)
class Holder:
    """Who holds a lease, as lease.json says it.

    Attributes:
        host: the name of its machine.
        boot: which start of that machine's it is, or empty.
        pid: its process there.
        job: its Slurm job, or None.
        restart: how often that job had been requeued.
        nonce: what tells it from every other holder.
        beat: how often it has renewed the lease.
        at: when it did so last, in Unix time: for people alone, as the clocks of two machines differ.
    """

    host: str
    boot: str
    pid: int
    job: str | None
    restart: int
    nonce: str
    beat: int = 0
    at: float = 0.0

    @classmethod
    def here(cls) -> Holder:
        """This process, as a new holder."""
        boot = _BOOT.read_text(encoding="ascii").strip() if _BOOT.exists() else ""
        job = os.environ.get(slurm.JOB) or None
        return cls(
            host=socket.gethostname(),
            boot=boot,
            pid=os.getpid(),
            job=job,
            restart=slurm.restarts(job) if job else 0,
            nonce=secrets.token_hex(8),
        )

    def renewed(self) -> Holder:
        """The same, one beat later."""
        return replace(self, beat=self.beat + 1, at=round(time.time(), 3))

    def record(self) -> bytes:
        """The content of its lease.json."""
        return (json.dumps(asdict(self), sort_keys=True).ljust(_SIZE - 1) + "\n").encode()


def holder(folder: Path) -> Holder | None:
    """Who holds the lease on a checkpoint folder; None where nobody does, and where lease.json is damaged."""
    try:
        return _parsed((folder / LEASE).read_bytes())
    except OSError:
        return None


def ask_to_stop(folder: Path) -> bool:
    """Ask whoever holds the lease on a checkpoint folder to save and stop; False where nobody does."""
    found = holder(folder)
    if found is not None:
        write_json(folder / STOP, {"nonce": found.nonce})
    return found is not None


def locked(file: IO[bytes] | int, folder: Path, operation: int = fcntl.LOCK_EX, *, wait: bool = False) -> bool:
    """Take the lock on an open file in `folder`; False where another holds it and this is not to `wait` for it.

    Raises:
        NervelabError: the file system has no such locks.
    """
    try:
        fcntl.flock(file, operation if wait else operation | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_FLOCK:
            raise
        raise _no_flock(folder) from error
    return True


def refuse_without_flock(folder: Path) -> None:
    """Refuse a folder in whose file system a lock locks nobody out.

    Raises:
        NervelabError: it does not, or has no such locks.
    """
    with (
        tempfile.NamedTemporaryFile(dir=folder, prefix=".flock.", suffix=".part") as first,
        Path(first.name).open("rb+") as second,
    ):
        if not locked(first, folder) or locked(second, folder):
            raise _no_flock(folder)


def _no_flock(folder: Path) -> NervelabError:
    return NervelabError(
        f"the file system of {folder.resolve()} does not support flock: mount it with flock (Lustre: -o flock; "
        "NFS: version 4), or work in another folder."
    )


class Lease:
    """A lease that this process holds, and renews in a thread of its own until it is released."""

    def __init__(self, folder: Path, mine: Holder, *, beat_seconds: float = BEAT_SECONDS) -> None:
        self.folder, self._mine, self._beat_seconds = folder, mine, beat_seconds
        self._path = folder / LEASE
        self._guard = threading.Lock()  # over the file: of this process's threads one at a time
        self._lost = self._asked = False
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)

    def start(self) -> Lease:
        """Begin to renew it."""
        self._thread.start()
        return self

    def release(self) -> None:
        """Give it back; nothing happens where that was done or where it is another's."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()
        with suppress(OSError):
            if not self._lost and self._found() == self._mine.nonce:
                (self.folder / STOP).unlink(missing_ok=True)
                self._path.unlink(missing_ok=True)
        self._lost = True

    def asked_to_stop(self) -> bool:
        """Whether this holder was asked to save and stop; looks at no file."""
        return self._asked

    def still_held(self) -> bool:
        """Whether the lease is this process's, by the file itself."""
        # One who takes another's lease away by mistake puts it back at once.
        for _ in range(5):
            found = None if self._lost else self._found()
            if found is not None or self._lost:
                break
            time.sleep(0.2)
        self._lost = self._lost or found != self._mine.nonce
        return not self._lost

    def require(self) -> None:
        """Refuse to go on where the lease is no longer this process's; before anything is written.

        Raises:
            NervelabError: it is another's, or gone.
        """
        if not self.still_held():
            found = holder(self.folder)
            whose = f"process {found.pid} on {found.host} has taken it over" if found else "it was taken away"
            raise NervelabError(
                f"{self._path} is no longer this training's ({whose}), which stopped and wrote nothing more: "
                "leave the run to the other one, or run the same command again."
            )

    def beat(self) -> None:
        """Renew it, where it lies."""
        try:
            with self._guard, self._path.open("rb+", buffering=0) as file:
                found = _parsed(file.read())
                if found is not None and found.nonce == self._mine.nonce:
                    self._mine = self._mine.renewed()
                    file.seek(0)
                    file.write(self._mine.record())
        except OSError:  # the next beat may succeed, and whether it is gone is seen below
            pass
        with suppress(OSError):
            self.still_held()

    def look(self) -> None:
        """See whether `stop` asks this holder; one that asks an earlier holder is removed."""
        path = self.folder / STOP
        try:
            asked = json.loads(path.read_bytes())
        except OSError:
            return
        except ValueError:
            asked = None
        if isinstance(asked, dict) and asked.get("nonce") == self._mine.nonce:
            self._asked = True
        else:
            with suppress(OSError):
                path.unlink(missing_ok=True)

    def _keep(self) -> None:
        renewed = time.monotonic()
        while not (self._over.wait(min(STOP_SECONDS, self._beat_seconds)) or self._lost):
            self.look()
            if time.monotonic() - renewed >= self._beat_seconds:
                self.beat()
                renewed = time.monotonic()

    def _found(self) -> str | None:
        """The nonce in the file; None where there is none, empty where it is damaged."""
        try:
            with self._guard:
                found = _parsed(self._path.read_bytes())
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ESTALE):
                raise
            return None
        return found.nonce if found else ""


def take(
    folder: Path,
    *,
    waiting: Callable[[], object] = lambda: None,
    sleep: Callable[[float], object] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
    mine: Holder | None = None,
    beat_seconds: float = BEAT_SECONDS,
) -> Lease | None:
    """Take the lease on a checkpoint folder, waiting for its holder; to be called with the folder's lock in hand.

    Args:
        folder: the checkpoint folder.
        waiting: called now and then while it waits; what it raises ends that.
        sleep: lets seconds pass.
        clock: seconds that pass, from anywhere.
        mine: who takes it: this process.
        beat_seconds: how often a holder renews its lease.

    Returns the lease, not yet started, or None where the folder is gone.
    """
    mine = (mine or Holder.here()).renewed()
    watch = _Watch(mine, clock, MISSED_BEATS * beat_seconds)
    while True:
        try:
            if _created(folder / LEASE, mine.record()):
                return Lease(folder, mine, beat_seconds=beat_seconds)
        except FileNotFoundError:  # whoever held it cleared the folder meanwhile
            return None
        try:
            content = (folder / LEASE).read_bytes()
        except FileNotFoundError:
            continue
        if watch.is_stale(content):
            _take_away(folder / LEASE, content, mine.nonce)
        else:
            waiting()
            sleep(LOOK_SECONDS)


class _Watch:
    """Looks at another's lease again and again, and judges when its holder is no more."""

    def __init__(self, mine: Holder, clock: Callable[[], float], missed_seconds: float) -> None:
        self.mine, self.clock, self.missed_seconds = mine, clock, missed_seconds
        self.content: bytes | None = None
        self.watched = self.looked = 0.0
        self.answer: str | None = None
        self.asked: tuple[str, float] | None = None  # the nonce of the last question to the queue, and when

    def is_stale(self, content: bytes) -> bool:
        """Whether the holder of a lease, with this content now, is no more."""
        now = self.clock()
        if content != self.content:
            self.content, self.watched = content, 0.0
        else:  # of a time in which this process itself stood still nothing was watched
            self.watched += min(now - self.looked, self.missed_seconds / MISSED_BEATS)
        self.looked = now
        found = _parsed(content)
        if found is not None:
            if found.boot == self.mine.boot and found.host == self.mine.host:
                return True  # its lock, which ends with it on its own machine, is in our hand
            if found.job is not None and found.job == self.mine.job and found.restart < self.mine.restart:
                return True  # this job was requeued since
            state = self._state(found, now)
            if state in slurm.ENDED or state == "":
                return True
            if state is not None and state not in slurm.WAITING:
                return False
        return self.watched >= self.missed_seconds

    def _state(self, found: Holder, now: float) -> str | None:
        """The state of the holder's job: empty where the queue does not know it, None where there is none."""
        if found.job is None or found.job == self.mine.job:
            return None
        if self.asked is None or self.asked[0] != found.nonce or now - self.asked[1] >= ASK_SECONDS:
            self.answer, self.asked = slurm.told(found.job, "%T"), (found.nonce, now)
        return self.answer


def _created(path: Path, content: bytes) -> bool:
    """Create a file with its whole content; False where it is there already."""
    partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
    try:
        partial.write_bytes(content)
        try:
            os.link(partial, path)
        except FileExistsError:  # over NFS perhaps our own, whose success was not told
            return partial.stat().st_nlink > 1
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            return _created_at_once(path, content)
        return True
    finally:
        partial.unlink(missing_ok=True)


def _created_at_once(path: Path, content: bytes) -> bool:
    """The same where a file has one name only: it is empty for a moment."""
    try:
        with path.open("xb", buffering=0) as file:
            file.write(content)
    except FileExistsError:
        return False
    return True


def _take_away(path: Path, judged: bytes, nonce: str) -> None:
    """Remove a lease that was judged stale, and no other: of several who judge so, others may have taken it since."""
    aside = path.with_name(f".{path.name}.{nonce}.part")
    with suppress(FileNotFoundError):
        path.rename(aside)
        found = aside.read_bytes()
        if found != judged:
            _created(path, found)
        aside.unlink()


def _parsed(content: bytes) -> Holder | None:
    try:
        told = json.loads(content)
        known = {each.name: told[each.name] for each in fields(Holder)}
    except (ValueError, KeyError, TypeError):
        return None
    texts = all(isinstance(known[name], str) for name in ("host", "boot", "nonce"))
    numbers = all(isinstance(known[name], int) for name in ("pid", "restart", "beat"))
    return Holder(**known) if texts and numbers and isinstance(known["job"], str | None) else None
