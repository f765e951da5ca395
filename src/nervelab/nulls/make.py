"""The probes that are missing, made by one process, each folder written when it is done."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path
from threading import Lock

import torch

from nervelab.aggregates.verified import verify_run
from nervelab.errors import NervelabError
from nervelab.files import remove_half_written, sha256, write_bytes, write_sealed
from nervelab.nulls.probe import as_bytes, probed
from nervelab.probefiles import PROBE_JSON, PROBES
from nervelab.runfiles import RUN_JSON
from nervelab.stages.chain import PROBE, TRAIN
from nervelab.stages.targets import Targets
from nervelab.study.plans import content_of
from nervelab.study.probing import Probe, probes
from nervelab.training.execution import Execution

FINISHED = "finished"


def make_probes(
    targets: Targets, names: Sequence[str] | None = None, *, device: str = "cpu", threads: int | None = None
) -> None:
    """Make those of the wanted probes that are not there, and say on stderr how far it is.

    Each network runs on one thread, so that its numbers are the same bit by bit whatever else runs; `threads` networks
    are probed at once, by default one a core.

    Args:
        targets: what is asked for.
        names: of the probes; by default all whose runs are trained.
        device: where the networks run, cpu or cuda.
        threads: how many are probed at once; on a GPU one.

    Raises:
        NervelabError: nothing asks for a probe of this name, one that is there or a run is damaged, or there is no such
            device.
    """
    wanted = _named(targets, names)
    there = [probe for probe in wanted if PROBE.is_there(probe.folder)]
    for probe in there:
        PROBE.verify(probe.folder)
    waiting = [probe for probe in wanted if not PROBE.is_there(probe.folder)]
    if there:
        _say(f"{len(there)} probes are there and whole, and are not made again")
    where = Execution(Path(), Path(), Path(), Path(), device=device).prepare()
    side_by_side = min(threads or len(waiting), len(os.sched_getaffinity(0))) if where.type == "cpu" else 1
    building = Lock()
    with ThreadPoolExecutor(max(side_by_side, 1), initializer=torch.set_num_threads, initargs=(1,)) as pool:
        jobs = {pool.submit(_make, probe, where, building): probe for probe in waiting}
        left = set(jobs)
        while left:
            done, left = wait(left, return_when=FIRST_COMPLETED)
            for job in done:
                if job.exception() is not None:
                    pool.shutdown(wait=False, cancel_futures=True)
                job.result()
                _say(f"probed {jobs[job].run.name} ({len(waiting) - len(left)} of {len(waiting)})")


def _named(targets: Targets, names: Sequence[str] | None) -> list[Probe]:
    wanted = {probe.name: probe for probe in probes(targets.project)}
    if names is None:
        trained = [probe for probe in wanted.values() if TRAIN.is_there(probe.run.folder)]
        if len(trained) < len(wanted):
            _say(f"{len(wanted) - len(trained)} of {len(wanted)} runs are not trained yet, and are left out")
        return trained
    for name in names:
        if name not in wanted:
            raise NervelabError(
                f"params.yaml (or the code) no longer asks for the probe {name}: it was edited after this build began; "
                "start the build again."
            )
    return [wanted[name] for name in names]


def _make(probe: Probe, device: torch.device, building: Lock) -> None:
    run = probe.run
    recorded = verify_run(run.folder)
    if recorded["id"] != run.id:
        raise NervelabError(
            f"{run.folder / RUN_JSON} belongs to run {recorded['id']}, not {run.id}: delete the folder and run make "
            "again."
        )
    table = as_bytes([])
    if recorded["outcome"] == FINISHED:
        settings = probe.settings.model_dump()
        table = probed(content_of(run), run.folder, run.data.folder, **settings, device=device, building=building)
    _write(probe, table, outcome=recorded["outcome"])


def _write(probe: Probe, table: bytes, *, outcome: str) -> None:
    """Write both files, probe.json last: a folder without it is no probe."""
    folder = probe.folder
    folder.mkdir(parents=True, exist_ok=True)
    (folder / PROBE_JSON).unlink(missing_ok=True)
    remove_half_written(folder)
    write_bytes(folder / PROBES, table)
    recorded = {
        "name": probe.name,
        "id": probe.id,
        "run": probe.run.id,
        "run_name": probe.run.name,
        "outcome": outcome,
        "settings": probe.settings.model_dump(mode="json"),
        "fingerprint": probe.fingerprint,
        "files": {PROBES: sha256(folder / PROBES)},
        "bytes": {PROBES: (folder / PROBES).stat().st_size},
    }
    write_sealed(folder / PROBE_JSON, recorded)


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
