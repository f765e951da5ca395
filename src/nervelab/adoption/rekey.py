"""Writing an adopted run: the files of the kept one under the name of today, with the evidence."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nervelab import runfiles
from nervelab.adoption import evidence
from nervelab.adoption.kept import Kept, components
from nervelab.adoption.replay import SAME, Seen
from nervelab.files import sha256, write_bytes, write_json, write_sealed
from nervelab.study.plans import content_of
from nervelab.study.runs import Run

PARTIAL = ".adopting-"  # how the names of folders begin in which a run is being put together


@dataclass(frozen=True)
class Candidate:
    """A kept run that may be a wanted one, the evidence on its data, and what has been seen of it so far."""

    run: Run
    kept: Kept
    data: dict[str, Any]
    recomputed: Seen | None = None
    replayed: Seen | None = None


def rekey(candidate: Candidate, shown_by: dict[str, str]) -> None:
    """Copy the kept run to its name of today; it appears whole or not at all, and the kept one stays.

    `shown_by` names the replayed run that shows each component, for a run that was not replayed itself.
    """
    run, kept = candidate.run, candidate.kept
    steps = [*evidence.adoptions(kept.folder), _step(candidate, shown_by)]
    run.folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=run.folder.parent, prefix=PARTIAL) as name:
        partial = Path(name) / run.name
        partial.mkdir()
        for file in (*runfiles.RUN_RESULTS, *runfiles.RUN_CIRCUMSTANCES):
            write_bytes(partial / file, (kept.folder / file).read_bytes())
        write_json(partial / runfiles.ADOPTION, {"adoptions": steps})
        files = kept.recorded["files"] | {runfiles.ADOPTION: sha256(partial / runfiles.ADOPTION)}
        plan = content_of(run)
        own = {key: plan[key] for key in (*evidence.IDENTITY, "slug", "config")}
        write_sealed(partial / runfiles.RUN_JSON, kept.recorded | own | {"files": files})
        if run.folder.exists():  # what a training left that was cut off
            shutil.rmtree(run.folder)
        partial.rename(run.folder)


def _step(candidate: Candidate, shown_by: dict[str, str]) -> dict[str, Any]:
    """The adoption as adoption.json has it."""
    run, kept = candidate.run, candidate.kept
    covered_by: dict[str, list[str]] = {}
    if candidate.replayed is None:
        for component in sorted(components(run)):
            covered_by.setdefault(shown_by[component], []).append(component)
    plan = content_of(run)
    return {
        "from": {key: kept.recorded[key] for key in evidence.IDENTITY},
        "to": {key: plan[key] for key in evidence.IDENTITY},
        "settings_added": kept.added,
        "data": candidate.data,
        "kept_in": {key: kept.environment.get(key) for key in SAME},
        "bitwise": candidate.recomputed.bitwise,
        "recomputed": candidate.recomputed.compared,
        "replayed": None if candidate.replayed is None else candidate.replayed.compared,
        "covered_by": covered_by,
    }
