"""How each wanted run stands."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nervelab import layout, runfiles
from nervelab.adoption.kept import as_today
from nervelab.build.told import alive, told
from nervelab.errors import NervelabError
from nervelab.files import canonical_json, read_json, read_mapping
from nervelab.study.runs import Project, Run
from nervelab.study.targets import REMEDY, refuse_truncated

DONE = ("finished", "stuck", "diverged")
STATES = (*DONE, "running", "queued", "failed", "stopped", "damaged", "incomplete", "stale", "absent")
"""Every state of a run; see `standing`."""
ADOPT = "`nervelab adopt` can keep it"
_DEFECT = re.compile(r"[\w.]*(Error|Exception)\b")


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
        parameters: of its model, where it is on disk.
    """

    run: Run
    state: str
    said: str = ""
    step: int | None = None
    seconds_left: float | None = None
    kept: tuple[str, ...] = ()
    parameters: int | None = None

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


def standings(project: Project, *, building: bool) -> list[Standing]:
    """How every wanted run stands, in the order of params.yaml; `building` says that a build is running here."""
    kept = Kept.of(project.scale, {run.folder for run in project.runs})
    return [standing(run, kept, building=building) for run in project.runs]


def standing(run: Run, kept: Kept, *, building: bool) -> Standing:
    """How a run stands.

    finished, stuck, diverged: it is there, and ended so. damaged: it is there, but a file is not as long as it was.
    running: a process on this machine trains it. failed: its last training ended with an error. stopped: a training was
    stopped or killed, and the next one goes on from its checkpoint if it left one. incomplete: files of it are missing.
    queued: a build that is running will train it. stale: other code or data made a run of the same settings, which is
    kept. absent: there is nothing of it.
    """
    present = [file for file in runfiles.RUN_FILES if (run.folder / file).exists()]
    if len(present) == len(runfiles.RUN_FILES):
        return _ended(run)
    progress = told(run.name)
    if alive(run.name):
        return Standing(run, "running", step=progress.step, seconds_left=progress.seconds_left)
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


def failure(log: Path) -> str | None:
    """The sentence that a job's last execution ended with, from its log; None if it ended otherwise."""
    try:
        lines = [
            line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()
        ]
    except FileNotFoundError:
        return None
    own = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    if own:
        return own[-1]
    return f"{lines[-1]} ({log} has the whole story)" if lines and _DEFECT.match(lines[-1]) else None


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
