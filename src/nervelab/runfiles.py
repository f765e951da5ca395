"""The files of a run. Apart from `layout`, because the trainer writes them: a change here changes what a run is."""

import os
from pathlib import Path
from typing import Any

from nervelab.errors import NervelabError
from nervelab.files import read_mapping, sha256

SPECTRA = "spectra.parquet"
EIGENVALUES = "eigenvalues.parquet"
HISTORY = "history.parquet"
WEIGHTS = "model.safetensors"
TIMING = "timing.parquet"
ESTIMATORS = "estimators.parquet"
ENVIRONMENT = "environment.json"
ADOPTION = "adoption.json"  # of a run that other code than today's trained, and only of one
RUN_JSON = "run.json"

# Equal, byte for byte, between two executions of a run on one machine; run.json holds their sha256.
RUN_RESULTS = (SPECTRA, EIGENVALUES, HISTORY, WEIGHTS)
# What may differ between two executions.
RUN_CIRCUMSTANCES = (TIMING, ESTIMATORS, ENVIRONMENT)
RUN_FILES = (*RUN_RESULTS, *RUN_CIRCUMSTANCES, RUN_JSON)

# How the formats end of files that have neither size nor sha256 on record.
_ENDS = {".parquet": b"PAR1", ".json": b"}\n"}


def whole_run(folder: Path) -> dict[str, Any] | None:
    """The content of run.json, if every file of the run is there and is what it vouches for, else None."""
    if not all((folder / file).is_file() for file in RUN_FILES):
        return None
    try:
        recorded = read_mapping(folder / RUN_JSON, "it is made again.")
        hashes = recorded["files"] | {file: recorded["files"][file] for file in RUN_RESULTS}
    except (NervelabError, KeyError, TypeError):  # a damaged run.json vouches for nothing
        return None
    vouched = all((folder / file).is_file() and sha256(folder / file) == hashes[file] for file in hashes)
    return recorded if vouched and not any(cut_short(folder / file) for file in RUN_CIRCUMSTANCES) else None


def cut_short(path: Path) -> bool:
    """Whether a file does not end as its format does."""
    end = _ENDS[path.suffix]
    with path.open("rb") as file:
        file.seek(-min(len(end), path.stat().st_size), os.SEEK_END)
        return file.read() != end
