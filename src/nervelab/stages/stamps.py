"""Stamps: which rendered files are fresh, known by content and not by time.

Runs, tokens and corpora carry their identity in their path; rendered files have fixed names. A stamp vouches for them:
its own name carries the key of what determines them, and it holds the sha256 of every file that was read and written.
A stamp whose files are no longer those is superseded by one with the next number, which the DAG then lacks and
therefore makes. It also says by name what determined the files, for whoever asks why they are stale.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from nervelab.errors import NervelabError
from nervelab.files import canonical_json, digest, read_json, sha256, write_json

SAID_WHOLE = 500  # characters up to which a stamp holds what determined it, beyond them its hash


@dataclass(frozen=True)
class Stamp:
    """The stamps of one stage in `folder`, under the key of what determines its files, given by name."""

    folder: Path
    stage: str
    determinants: dict[str, Any]

    @cached_property
    def key(self) -> str:
        """A short hash of what determines the stage's files."""
        return digest(list(self.determinants.values()))[:10]

    @property
    def made_of(self) -> dict[str, Any]:
        """What determines the stage's files, by name; a hash in place of what is long."""
        return {name: _brief(value) for name, value in self.determinants.items()}

    def valid(self) -> Path | None:
        """The stamp that vouches for the files as they lie, or None."""
        return next((path for path in self._existing().values() if vouches(path)), None)

    def to_make(self) -> Path:
        """The name of a stamp that is not there yet."""
        return self.folder / f"{self.stage}-{self.key}.{1 + max(self._existing(), default=-1)}.json"

    def names(self, path: Path) -> bool:
        """Whether this is the path of one of these stamps, there or not."""
        return (
            path.parent == self.folder and path.name.rpartition(".")[0].rpartition(".")[0] == f"{self.stage}-{self.key}"
        )

    def lying(self) -> list[Path]:
        """Every stamp of the stage that lies in the folder, under whatever key."""
        return sorted(self.folder.glob(f"{self.stage}-*.json"))

    def _existing(self) -> dict[int, Path]:
        return {
            int(path.name.split(".")[1]): path for path in sorted(self.folder.glob(f"{self.stage}-{self.key}.*.json"))
        }


def vouches(stamp: Path) -> bool:
    """Whether every file the stamp names is there with the content it had."""
    return next(differences(stamp), None) is None


def differences(stamp: Path, among: Iterable[str] = ("read", "written")) -> Iterator[tuple[Path, str]]:
    """The files that are not as the stamp says, each with what became of it: "was deleted" or "was changed".

    A damaged stamp vouches for nothing, and is itself what was changed.
    """
    try:
        content = read_json(stamp, "it will be made again.")
        files = {name: expected for part in among for name, expected in content[part].items()}
    except (NervelabError, KeyError, TypeError, AttributeError):
        yield stamp, "was changed"
        return
    for name, expected in files.items():
        path = Path(name)
        if not path.is_file():
            yield path, "was deleted"
        elif sha256(path) != expected:
            yield path, "was changed"


def write_stamp(stamp: Path, read: Iterable[Path], written: Iterable[Path], made_of: dict[str, Any]) -> None:
    """Vouch for `written`, made from `read` and determined by `made_of`, and drop the stage's other stamps there.

    Raises:
        NervelabError: one of the files is missing.
    """
    write_json(stamp, {"read": _hashes(read), "written": _hashes(written), "made_of": made_of})
    stage = stamp.name.rpartition("-")[0]
    for other in stamp.parent.glob(f"{stage}-*.json"):
        if other != stamp:
            other.unlink()


def _brief(value: Any) -> Any:
    return value if len(canonical_json(value)) <= SAID_WHOLE else digest(value)


def _hashes(paths: Iterable[Path]) -> dict[str, str]:
    hashes = {}
    for path in sorted(paths):
        if not path.is_file():
            raise NervelabError(f"{path} is missing although this stage should have it: run make again.")
        hashes[path.as_posix()] = sha256(path)
    return hashes
