"""Stamps: which rendered files are fresh, known by content and not by time.

Runs, tokens and corpora carry their identity in their path; rendered files have fixed names. A stamp vouches for them:
its own name carries the key of what determines them, and it holds the sha256 of every file that was read and written.
A stamp whose files are no longer those is superseded by one with the next number, which the DAG then lacks and
therefore makes.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nervelab.errors import NervelabError
from nervelab.files import digest, read_json, sha256, write_json


@dataclass(frozen=True)
class Stamp:
    """The stamps of one stage in `folder`, under the key of what determines its files."""

    folder: Path
    stage: str
    key: str

    def valid(self) -> Path | None:
        """The stamp that vouches for the files as they lie, or None."""
        return next((path for path in self._existing().values() if vouches(path)), None)

    def to_make(self) -> Path:
        """The name of a stamp that is not there yet."""
        return self.folder / f"{self.stage}-{self.key}.{1 + max(self._existing(), default=-1)}.json"

    def _existing(self) -> dict[int, Path]:
        return {
            int(path.name.split(".")[1]): path for path in sorted(self.folder.glob(f"{self.stage}-{self.key}.*.json"))
        }


def stamp_key(*determinants: Any) -> str:
    """A short hash of what determines a stage's files."""
    return digest(list(determinants))[:10]


def vouches(stamp: Path) -> bool:
    """Whether every file the stamp names is there with the content it had."""
    try:
        content = read_json(stamp, "it will be made again.")
        files = {**content["read"], **content["written"]}
    except (NervelabError, KeyError, TypeError):  # a damaged stamp vouches for nothing
        return False
    return all(Path(name).is_file() and sha256(Path(name)) == expected for name, expected in files.items())


def write_stamp(stamp: Path, read: Iterable[Path], written: Iterable[Path]) -> None:
    """Vouch for `written`, made from `read`, and drop the stage's other stamps in the folder.

    Raises:
        NervelabError: one of the files is missing.
    """
    write_json(stamp, {"read": _hashes(read), "written": _hashes(written)})
    stage = stamp.name.rpartition("-")[0]
    for other in stamp.parent.glob(f"{stage}-*.json"):
        if other != stamp:
            other.unlink()


def _hashes(paths: Iterable[Path]) -> dict[str, str]:
    hashes = {}
    for path in sorted(paths):
        if not path.is_file():
            raise NervelabError(f"{path} is missing although this stage should have it: run make again.")
        hashes[path.as_posix()] = sha256(path)
    return hashes
