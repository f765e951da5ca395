"""Writing files so that nothing half-written ever looks whole, and hashing them."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from nervelab.errors import NervelabError, damaged, missing

# What the machine, and no defect of the program, is the cause of, and what is to be done about it.
_FULL = "free some space there"
_CLOSED = "make the folder writable, or work in another one"
_REMEDIES = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EFBIG: "raise the limit on the size of files (ulimit -f)",
    errno.EROFS: _CLOSED,
    errno.EACCES: _CLOSED,
    errno.EPERM: _CLOSED,
    errno.EIO: "check the disk",
    errno.EMFILE: "raise the limit on open files (ulimit -n)",
    errno.ENFILE: "end other programs, which have too many files open",
    errno.ENOTDIR: "move away the file that lies where a folder is needed",
    errno.EEXIST: "move away the file that lies where a folder is needed",
    errno.EISDIR: "move away the folder that lies where a file is needed",
    errno.ENAMETOOLONG: "give it a shorter name, or work in a folder with a shorter path",
}
SEAL = "seal"


def machine_fault(error: OSError, path: Path | None = None, *, doing: str = "written") -> str | None:
    """What the machine refused, as one sentence with its remedy; None for an error that it did not cause.

    Args:
        error: what was raised.
        path: the file in question, where the error does not name it.
        doing: what could not be done to it.
    """
    if error.errno not in _REMEDIES:
        return None
    remedy = _REMEDIES[error.errno]
    if doing == "read" and remedy == _CLOSED:
        remedy = "mend its permissions"
    name = path or error.filename or "a file"
    return f"{name} could not be {doing} ({os.strerror(error.errno)}): {remedy}, then run the same command again."


def write_with(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary sibling of `path`, flush it to disk and rename it into place.

    Raises:
        NervelabError: the file cannot be written (full disk, no permission); `path` is then what it was before.
    """
    partial = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        os.close(handle)
        partial = Path(name)
        write(partial)
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.chmod(0o644)
        partial.replace(path)
    except OSError as error:  # of a full disk some libraries say no more than how many bytes went astray
        said = f"{path} could not be written ({error}): free some space there, then run the same command again."
        raise NervelabError(machine_fault(error, path) or said) from error
    finally:
        if partial is not None:
            with suppress(OSError):  # what the disk does not let go of is no file of ours: its name says so
                partial.unlink(missing_ok=True)


def remove_half_written(folder: Path) -> None:
    """Remove what writers that were killed left below a folder; for a process that alone writes there."""
    for left in folder.rglob(".*.part"):
        left.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path` atomically."""
    write_with(path, lambda partial: partial.write_bytes(content))


def write_text(path: Path, content: str) -> None:
    """Write `content` to `path` atomically, as UTF-8."""
    write_bytes(path, content.encode())


def write_json(path: Path, content: Any) -> None:
    """Write `content` to `path` atomically, as indented JSON with sorted keys."""
    write_text(path, json.dumps(content, indent=2, sort_keys=True, allow_nan=False) + "\n")


def write_sealed(path: Path, content: dict[str, Any]) -> None:
    """Write a mapping as `write_json` does, with a hash of itself, so that not even a single digit changes unseen."""
    write_json(path, sealed(content))


def sealed(content: dict[str, Any]) -> dict[str, Any]:
    """A mapping with the hash of the rest of it under the key `SEAL`."""
    rest = {key: value for key, value in content.items() if key != SEAL}
    as_read = json.loads(json.dumps(rest))  # where, say, a number as a key has become text
    return {**rest, SEAL: digest(as_read)}


def refuse_broken_seal(path: Path, content: dict[str, Any], remedy: str) -> None:
    """Refuse a mapping whose content is not what was sealed; what never had a seal passes.

    Raises:
        NervelabError: it was changed; the message ends with `remedy`.
    """
    try:
        whole = SEAL not in content or sealed(content)[SEAL] == content[SEAL]
    except ValueError:  # it holds what is no JSON, though Python reads it: NaN
        whole = False
    if not whole:
        raise damaged(path, "its content is not what was written", remedy)


def read_text(path: Path, remedy: str) -> str:
    """The content of a text file.

    Raises:
        NervelabError: the file is missing, cannot be read or is not UTF-8; the message ends with `remedy`.
    """
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise missing(path, remedy) from error
    except UnicodeDecodeError as error:
        raise damaged(path, "not UTF-8", remedy) from error
    except OSError as error:
        raise NervelabError(f"{path} cannot be read ({error.strerror}): mend that, or {remedy}") from error


def read_json(path: Path, remedy: str) -> Any:
    """The content of a JSON file.

    Raises:
        NervelabError: the file is missing or is not JSON; the message ends with `remedy`.
    """
    try:
        return json.loads(read_text(path, remedy))
    except (json.JSONDecodeError, RecursionError) as error:  # the latter where brackets have no end
        raise damaged(path, "not JSON", remedy) from error


def read_mapping(path: Path, remedy: str, keys: Iterable[str] = ()) -> dict[str, Any]:
    """The content of a JSON file that holds a mapping with at least `keys`; a seal is compared, and left out.

    Raises:
        NervelabError: it is missing, or holds something else; the message ends with `remedy`.
    """
    content = read_json(path, remedy)
    if not isinstance(content, dict):
        raise damaged(path, "no mapping", remedy)
    refuse_broken_seal(path, content, remedy)
    lacking = [key for key in keys if key not in content]
    if lacking:
        raise damaged(path, f"it lacks the entry {lacking[0]}", remedy)
    return {key: value for key, value in content.items() if key != SEAL}


def canonical_json(content: Any) -> str:
    """JSON with sorted keys and no spaces: equal content gives equal text on every Python."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(content: Any) -> str:
    """The sha256, in hexadecimal, of the canonical JSON of `content`."""
    return hashlib.sha256(canonical_json(content).encode()).hexdigest()


def sha256(path: Path) -> str:
    """The sha256 of a file, in hexadecimal.

    Raises:
        NervelabError: the file is there, but cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        said = machine_fault(error, path, doing="read")
        if said is None:
            raise
        raise NervelabError(said) from error
