"""What a stage leaves in its folders."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


def drop_others(folder: Path, kept: Iterable[Path]) -> None:
    """Remove the files of a folder that are not among those just written: what is no longer made must not lie on."""
    wanted = set(kept)
    for path in folder.iterdir():
        if path.is_file() and path not in wanted:
            path.unlink()
