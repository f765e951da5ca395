"""What the folders of corpora and tokens share: their manifest, and how a reader checks them by it."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from nervelab.datafiles import MANIFEST
from nervelab.errors import damaged, missing
from nervelab.files import read_mapping, sha256, write_sealed


def remedy(folder: Path) -> str:
    """What a user does about a damaged folder."""
    return f"delete the folder {folder} and build it again with `nervelab build`."


def write_manifest(folder: Path, content: dict[str, Any], files: Iterable[str]) -> None:
    """Write the manifest that vouches for `files` of `folder`: `content` and the sha256 of each file.

    It goes last, so a folder that has a manifest is complete.
    """
    write_sealed(folder / MANIFEST, {**content, "files": {name: sha256(folder / name) for name in files}})


def read_manifest(folder: Path, *, keys: Iterable[str]) -> dict[str, Any]:
    """The manifest of a folder, with at least `keys` and `files` in it.

    Raises:
        NervelabError: it is missing, or damaged.
    """
    path = folder / MANIFEST
    manifest = read_mapping(path, remedy(folder), (*keys, "files"))
    files = manifest["files"]
    if not isinstance(files, dict) or not all(map(_lies_inside, files)):
        raise damaged(path, "it names files that are none of its folder", remedy(folder))
    return manifest


def _lies_inside(name: str) -> bool:
    return Path(name).name == name


def verify(folder: Path) -> None:
    """Compare every file of a folder with the sha256 in its manifest.

    Raises:
        NervelabError: a file is missing or differs; the message names it and the remedy.
    """
    for name, expected in read_manifest(folder, keys=())["files"].items():
        path = folder / name
        if not path.is_file():
            raise missing(path, remedy(folder))
        if sha256(path) != expected:
            raise damaged(path, f"its sha256 is not that of {MANIFEST}", remedy(folder))
