"""Reading run folders, and refusing damaged ones.

A folder is trusted only after every file that its run.json vouches for has the sha256 written there.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from nervelab import runfiles
from nervelab.errors import NervelabError, damaged, missing
from nervelab.files import read_mapping, sha256

REMEDY = "delete it (or the folder) and run make again."


@dataclass(frozen=True)
class RunFolder:
    """A verified run folder: what runs.json lists, what run.json records, and the way to its tables."""

    path: Path
    listed: dict[str, Any]
    recorded: dict[str, Any]

    def table(self, file: str) -> pl.DataFrame:
        """One Parquet file of the folder.

        Raises:
            NervelabError: the file cannot be read.
        """
        return read_table(self.path / file)


def read_table(path: Path) -> pl.DataFrame:
    """A Parquet file as a frame.

    Raises:
        NervelabError: the file is missing or is not Parquet; the message names it and the remedy.
    """
    try:
        return pl.read_parquet(path)
    except FileNotFoundError as error:
        raise missing(path, REMEDY) from error
    except pl.exceptions.PolarsError as error:
        raise damaged(path, "not Parquet", REMEDY) from error


def verify_run(folder: Path) -> dict[str, Any]:
    """The content of run.json, once every file that it vouches for has been found to be what it says.

    Raises:
        NervelabError: a file is missing or differs; the message names it and the remedy.
    """
    recorded = read_mapping(folder / runfiles.RUN_JSON, REMEDY, ("id", "files"))
    for file, expected in sorted(recorded["files"].items()):
        path = folder / file
        if not path.is_file():
            raise missing(path, REMEDY)
        if sha256(path) != expected:
            raise damaged(path, f"its sha256 is not the one in {runfiles.RUN_JSON}", REMEDY)
    return recorded


def open_run(folder: Path, listed: dict[str, Any]) -> RunFolder:
    """Verify the folder of one listed run.

    Args:
        folder: runs/<scale>/<name>.
        listed: the entry of the run in runs.json.

    Raises:
        NervelabError: a file is missing or differs from what run.json vouches for, or the folder holds
            another run.
    """
    recorded = verify_run(folder)
    if recorded["id"] != listed["id"]:
        raise NervelabError(
            f"{folder / runfiles.RUN_JSON} belongs to run {recorded['id']}, not {listed['id']}: {REMEDY}"
        )
    return RunFolder(path=folder, listed=listed, recorded=recorded)
