"""How each wanted run stands."""

from __future__ import annotations

import socket
import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nervelab import layout, leases, runfiles
from nervelab.adoption.kept import as_today
from nervelab.build.locks import held
from nervelab.cluster.queue import Job
from nervelab.errors import NervelabError
from nervelab.files import canonical_json, read_json, read_mapping
from nervelab.stages.targets import REMEDY, refuse_truncated
from nervelab.study.runs import Project, Run
from nervelab.told import failure, told

DONE = ("finished", "stuck", "diverged")
STATES = (*DONE, "running", "queued", "failed", "stopped", "damaged", "incomplete", "stale", "absent")
"""Every state of a run; see `standing`."""
ADOPT = "`nervelab adopt` can keep it"


@dataclass(frozen=True)
class Standing:
    """How a wanted run stands.

    Attributes:
        run: the run.
        state: one of `STATES`.
        said: what else there is to say of it, in words.
        step: how far it is; None where nothing trains it or has begun to.
        seconds_left: until it ends, at its pace so far; None where it does not run or has not told yet.
        kept: the names of runs on disk with the same settings, trained by other code or on other data.
        job: the job of a cluster that trains it or is to; None where there is none.
        node: the machine that trains it, where that is not this one.
        parameters: of its model, where it is on disk.
    """

    run: Run
    state: str
    said: str = ""
    step: int | None = None
    seconds_left: float | None = None
    kept: tuple[str, ...] = ()
    parameters: int | None = None
    job: str | None = None
    node: str | None = None

    @property
    def done(self) -> bool:
        """Whether it is there, however it ended."""
        return self.state in DONE


@dataclass(frozen=True)
class Kept:
    """The runs of a scale that lie on disk but are not asked for, by their settings."""

    by_config: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    @classmethod
    def of(cls, scale: str, wanted: Collection[Path]) -> Kept:
        """Those beside the folders of the wanted runs; what cannot be read is left out: nothing can be made of it."""
        found: dict[str, list[dict[str, Any]]] = {}
        for path in sorted((layout.RUNS / scale).glob(f"*/{runfiles.RUN_JSON}")):
            if path.parent not in wanted:
                try:
                    recorded = read_json(path, REMEDY)
                    completed = as_today(recorded["config"])
                except (NervelabError, KeyError, TypeError):
                    continue
                if completed is not None:
                    found.setdefault(canonical_json(completed[0]), []).append(recorded | {"name": path.parent.name})
        return cls(found)

    def like(self, run: Run) -> list[dict[str, Any]]:
        """The run.json of those with the settings of `run`."""
        return self.by_config.get(canonical_json(run.config.model_dump(mode="json")), [])


def stale(runs: Iterable[Run]) -> int:
    """How many of these runs, none of which is there, have been made by other code or from other data."""
    waiting = list(runs)
    if not waiting:
        return 0
    kept = Kept.of(waiting[0].scale, {run.folder for run in waiting})
    return sum(bool(kept.like(run)) for run in waiting)


def standings(project: Project, *, building: bool, queue: Sequence[Job] | None = None) -> list[Standing]:
    """How every wanted run stands, in the order of params.yaml.

    Args:
        project: what is wanted.
        building: whether a build is running here.
        queue: the jobs of this folder on a cluster; None where no queue answers.
    """
    kept = Kept.of(project.scale, {run.folder for run in project.runs})
    return [standing(run, kept, building=building, queue=queue) for run in project.runs]


def standing(run: Run, kept: Kept, *, building: bool, queue: Sequence[Job] | None = None) -> Standing:
    """How a run stands.

    finished, stuck, diverged: it is there, and ended so. damaged: it is there, but a file is not as long as it was.
    running: a process on this machine trains it, or one elsewhere that renews its lease. failed: its last training
    ended with an error. stopped: a training was stopped or killed, and the next one goes on from its checkpoint if it
    left one. incomplete: files of it are missing. queued: a build that is running will train it, or a job in the queue
    of a cluster. stale: other code or data made a run of the same settings, which is kept. absent: there is nothing of
    it.
    """
    present = [file for file in runfiles.RUN_FILES if (run.folder / file).exists()]
    if len(present) == len(runfiles.RUN_FILES):
        return _ended(run)
    progress = told(run.name)
    at_work = {"step": progress.step, "seconds_left": progress.seconds_left}
    job = next((job for job in queue or () if job.trains(run.id)), None)
    holder = leases.holder(layout.CHECKPOINTS / run.name)
    if holder is not None and _lives(holder, job, queue):
        return Standing(run, "running", **at_work, job=holder.job, node=holder.host)
    if held(layout.CHECKPOINTS / run.name / "lock"):
        return Standing(run, "running", **at_work)
    if job is not None:
        how = (
            f"job {job.id} waits in the queue ({job.reason})"
            if job.waits
            else f"job {job.id} has others to train first, or starts"
        )
        return Standing(run, "queued", how, step=progress.step or None, job=job.id)
    resumes = (layout.CHECKPOINTS / run.name / "state.pt").exists()
    goes_on = "the next training goes on from its checkpoint" if resumes else "the next training starts again"
    sentence = failure(Path("logs") / run.scale / f"{run.name}.log")
    if sentence:
        return Standing(run, "failed", sentence, step=progress.step or None)
    if resumes or progress.step:
        return Standing(run, "stopped", goes_on, step=progress.step)
    if present:
        lacking = [file for file in runfiles.RUN_FILES if file not in present]
        return Standing(run, "incomplete", f"lacks {', '.join(lacking)}")
    older = kept.like(run)
    names = tuple(each["name"] for each in older)
    said = f"{_changed(run, older)}: {ADOPT}" if older else ""
    if building and layout.plan_path(run.name).exists():
        return Standing(run, "queued", said, kept=names)
    return Standing(run, "stale" if older else "absent", said, kept=names)


def _lives(holder: leases.Holder, job: Job | None, queue: Sequence[Job] | None) -> bool:
    """Whether a holder on another machine is at work: its job is, or, where no queue tells, its lease is fresh."""
    if holder.host == socket.gethostname() and holder.job is None:
        return False  # its lock says it
    if holder.job is not None and queue is not None:
        return job is not None and holder.job == job.id and not job.waits
    return time.time() - holder.at < leases.MISSED_BEATS * leases.BEAT_SECONDS


def _ended(run: Run) -> Standing:
    try:
        refuse_truncated(run)
        recorded = read_mapping(run.folder / runfiles.RUN_JSON, REMEDY)
    except NervelabError as error:
        return Standing(run, "damaged", str(error))
    outcome = recorded.get("outcome")
    if outcome not in DONE:
        return Standing(run, "damaged", f"{run.folder / runfiles.RUN_JSON} does not say how it ended: {REMEDY}")
    step = recorded.get("stopped_at")
    said = "" if outcome == "finished" else f"at step {step}"
    return Standing(run, outcome, said, step=step, parameters=recorded.get("parameters"))


def _changed(run: Run, older: list[dict[str, Any]]) -> str:
    """What changed since the newest-named kept run of the same settings was trained."""
    if any(each.get("fingerprint") == run.fingerprint for each in older):
        return "its data changed since"
    if any(each.get("inputs") == run.inputs for each in older):
        return "the code changed since"
    return "the code and its data changed since"
