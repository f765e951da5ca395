"""Reading run folders, and refusing damaged ones.

A folder is trusted only after every file that its run.json vouches for has the sha256 written there.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from nervelab import probefiles, runfiles
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
    return _verified(folder, runfiles.RUN_JSON)


def verify_probe(folder: Path) -> dict[str, Any]:
    """The content of probe.json, once the table that it vouches for has been found to be what it says.

    Raises:
        NervelabError: a file is missing or differs; the message names it and the remedy.
    """
    recorded = _verified(folder, probefiles.PROBE_JSON)
    if probefiles.PROBES not in recorded["files"]:
        raise damaged(folder / probefiles.PROBE_JSON, f"it does not vouch for {probefiles.PROBES}", REMEDY)
    return recorded


def _verified(folder: Path, record: str) -> dict[str, Any]:
    recorded = read_mapping(folder / record, REMEDY, ("id", "files"))
    for file, expected in sorted(recorded["files"].items()):
        path = folder / file
        if not path.is_file():
            raise missing(path, REMEDY)
        if sha256(path) != expected:
            raise damaged(path, f"its sha256 is not the one in {record}", REMEDY)
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


def open_probe(folder: Path, *, id: str, run: str) -> pl.DataFrame | None:
    """The table of a probe, once it is verified; None if the probe was not made.

    Args:
        folder: probes/<scale>/<run>-<id>.
        id: of the probe.
        run: the id of the run whose weights it is of.

    Raises:
        NervelabError: a file differs from what probe.json vouches for, or the folder holds another probe.
    """
    if not all((folder / file).exists() for file in probefiles.PROBE_FILES):
        return None
    recorded = verify_probe(folder)
    for what, found, wanted in (("probe", recorded["id"], id), ("the run", recorded.get("run"), run)):
        if found != wanted:
            raise NervelabError(f"{folder / probefiles.PROBE_JSON} belongs to {what} {found}, not {wanted}: {REMEDY}")
    return read_table(folder / probefiles.PROBES)
