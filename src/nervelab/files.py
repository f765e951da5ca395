"""Writing files so that nothing half-written ever looks whole, and hashing them."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nervelab.errors import NervelabError, damaged, missing


def write_with(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary sibling of `path`, flush it to disk and rename it into place.

    Raises:
        NervelabError: the file cannot be written (full disk, no permission); `path` is then what it was before.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    os.close(handle)
    partial = Path(name)
    try:
        write(partial)
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.chmod(0o644)
        partial.replace(path)
    except OSError as error:
        raise NervelabError(
            f"{path} could not be written ({error.strerror or error}): free some space or mend the permissions, "
            "then run the same command again."
        ) from error
    finally:
        partial.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path` atomically."""
    write_with(path, lambda partial: partial.write_bytes(content))


def write_text(path: Path, content: str) -> None:
    """Write `content` to `path` atomically, as UTF-8."""
    write_bytes(path, content.encode())


def write_json(path: Path, content: Any) -> None:
    """Write `content` to `path` atomically, as indented JSON with sorted keys."""
    write_text(path, json.dumps(content, indent=2, sort_keys=True, allow_nan=False) + "\n")


def read_json(path: Path, remedy: str) -> Any:
    """The content of a JSON file.

    Raises:
        NervelabError: the file is missing or is not JSON; the message ends with `remedy`.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise missing(path, remedy) from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise damaged(path, "not JSON", remedy) from error


def canonical_json(content: Any) -> str:
    """JSON with sorted keys and no spaces: equal content gives equal text on every Python."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(content: Any) -> str:
    """The sha256, in hexadecimal, of the canonical JSON of `content`."""
    return hashlib.sha256(canonical_json(content).encode()).hexdigest()


def sha256(path: Path) -> str:
    """The sha256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
