"""The answer of `nervelab status`, as text and as JSON."""

from __future__ import annotations

import json
import textwrap
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from nervelab.build.locks import LOCK, held
from nervelab.cluster.queue import jobs_here
from nervelab.stages.prune import size, unwanted
from nervelab.stages.targets import Targets
from nervelab.status.runs import STATES, Standing, standings
from nervelab.status.stages import Made, data, probing, stages
from nervelab.study.execution import block_weights
from nervelab.study.runs import load_project

WIDTH = 100
FEW = 8  # up to so many runs of a study that are not there are named, if others of it are
_COUNTED = ("queued", "stale", "absent")  # of more the number is told, and of those that finished


@dataclass(frozen=True)
class Status:
    """How everything stands that is asked for at one scale, or of one study.

    Attributes:
        targets: what is asked for.
        building: whether a build is running in this folder.
        runs: every wanted run.
        made: the data, the probes, then the rendering stages.
        unwanted: how many files and folders nothing asks for, and their bytes.
    """

    targets: Targets
    building: bool
    runs: list[Standing]
    made: list[Made]
    unwanted: tuple[int, int]

    @classmethod
    def of(cls, scale: str | None, only: str | None) -> Status:
        """Look at the disk; changes nothing.

        Raises:
            NervelabError: params.yaml is not valid.
        """
        targets = Targets(load_project(scale=scale, only=only), named=scale is not None, only=only)
        building = held(LOCK)
        runs = standings(targets.project, building=building, queue=jobs_here())
        made = [*data(targets.project), *probing(targets), *stages(targets, runs)]
        paths = unwanted()
        return cls(targets, building, runs, made, (len(paths), size(paths)))

    @property
    def counts(self) -> dict[str, int]:
        """How many runs are in each state, those states alone that occur."""
        counted = Counter(each.state for each in self.runs)
        return {state: counted[state] for state in STATES if counted[state]}


def as_json(status: Status) -> str:
    """The status as JSON.

    Its keys: `scale`, `study` (that alone is asked for, or null), `building`, `counts` (runs by state), `runs`, `data`,
    `stages`, `unwanted` (`files`, `bytes`). A run has a row for each study that asks for it: `study`, `run`, `id`, its
    settings by their names in params.yaml, `parameters`, `weights` (of the maps in its blocks, by which it has its
    entry in workflow/execution.yaml), `steps`, `state`, `step`, `seconds_left`, `said`, `kept`, and, on a cluster,
    `job` and `node`. `data` and `stages` have `what`, `name`, `id`, `state`, `why` and `failed`. What is not known is
    null.
    """
    rows = [_row(study, each) for study, each in _by_study(status)]
    made = [
        {key: getattr(each, key) for key in ("what", "name", "id", "state", "why", "failed")} for each in status.made
    ]
    files, bytes = status.unwanted
    content = {
        "scale": status.targets.project.scale,
        "study": status.targets.only,
        "building": status.building,
        "counts": status.counts,
        "runs": rows,
        "data": [each for each in made if each["what"] in _DATA],
        "stages": [each for each in made if each["what"] not in _DATA],
        "unwanted": {"files": files, "bytes": bytes},
    }
    return json.dumps(content, indent=2) + "\n"


def as_text(status: Status, *, every: bool = False) -> str:
    """The status for a terminal, at most `WIDTH` wide.

    Of runs that finished, or of many that are not there, a study's number is told; with `every` all are listed.
    """
    lines = [*_summary(status), ""]
    for each in status.made:
        said = "; ".join(filter(None, (*each.why, f"its last job failed: {each.failed}" if each.failed else "")))
        lines += _line(each.state, f"{each.what} {each.name}" + (f" {each.id}" if each.what in _DATA else ""), said)
    by_study: dict[str, list[Standing]] = {}
    for study, each in _by_study(status):
        by_study.setdefault(study, []).append(each)
    lines.append("")
    for study, runs in by_study.items():
        counted = Counter(each.state for each in runs)
        states = ", ".join(f"{counted[state]} {state}" for state in STATES if counted[state])
        lines.append(f"{study}: {_number(len(runs), 'run')}, {states}")
        hidden = () if every else _hidden(counted)
        words = Counter(in_words(each) for each in runs)
        for each in runs:
            if each.state not in hidden:
                said = in_words(each)
                lines += _line(each.state, each.run.name, said if words[said] == 1 else "")
        # What is said of several runs is said once, below them.
        for said in words:
            if said and (words[said] > 1 or any(in_words(each) == said for each in runs if each.state in hidden)):
                lines += _line("", "", said)
    return "\n".join(lines) + "\n"


def _hidden(counted: Counter[str]) -> set[str]:
    """The states of a study's runs of which the number says enough."""
    many = {state for state in _COUNTED if counted[state] > FEW or len(counted) == 1}
    return {"finished", *many}


_DATA = ("corpus", "tokens")


def in_words(each: Standing) -> str:
    """What there is to say of a run beside its state."""
    steps = each.run.config.training.steps
    if each.state == "running":
        left = "" if each.seconds_left is None else f", {duration(each.seconds_left)} left"
        where = ", ".join(filter(None, (each.node and f"on {each.node}", each.job and f"job {each.job}")))
        return f"step {each.step} of {steps}{left}" + (f", {where}" if where else "")
    if each.state in ("failed", "stopped") and each.step:
        return f"at step {each.step} of {steps}: {each.said}"
    return each.said


def duration(seconds: float) -> str:
    """Seconds in words, to the unit that matters."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _summary(status: Status) -> Iterator[str]:
    counts = status.counts
    done = sum(each.done for each in status.runs)
    rest = [f"{counts[state]} {state}" for state in STATES if state in counts and state != "finished"]
    asked = status.targets.project.scale + (f", {status.targets.only} alone" if status.targets.only else "")
    parts = [f"{asked}: {done} of {_number(len(status.runs), 'run')} done", *rest]
    rendered = [each for each in status.made if each.what in status.targets.stages]
    left = {each.what for each in status.made if each.state != "fresh"}
    if all(each.state == "absent" for each in rendered):
        results = "not there yet"
    elif left & set(status.targets.stages):
        results = "stale"
    elif left & set(_DATA):
        results = "fresh, but data are missing"
    else:
        results = "fresh, without probes" if left else "fresh"
    parts.append(f"results {results}")
    yield ", ".join(parts) + ("; a build is running" if status.building else "")
    files, bytes = status.unwanted
    if files:
        yield (
            f"{_number(files, 'file or folder', 'files and folders')} that nothing asks for, {bytes / 1e6:.1f} MB: "
            "`nervelab prune` lists them"
        )
    if counts.get("stale"):
        yield "stale runs are among them: `nervelab adopt` first, where they are to be kept"


def _number(count: int, one: str, many: str | None = None) -> str:
    return f"{count} {one}" if count == 1 else f"{count} {many or f'{one}s'}"


def _line(state: str, name: str, said: str) -> list[str]:
    """A line of the table, or several where it does not fit."""
    head = f"  {state:<10}  {name}".rstrip()
    whole = f"{head}  {said}".rstrip()
    if name and len(whole) <= WIDTH:
        return [whole]
    indent = " " * 14
    wrapped = textwrap.wrap(
        said, WIDTH, initial_indent=indent, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
    return [head, *wrapped] if name else wrapped


def _by_study(status: Status) -> Iterator[tuple[str, Standing]]:
    """Every wanted run with each study that asks for it, in the order of the runs."""
    only = status.targets.only
    for each in status.runs:
        for study in each.run.studies:
            if only in (None, study):
                yield study, each


def _row(study: str, each: Standing) -> dict[str, Any]:
    return {
        "study": study,
        "run": each.run.name,
        "id": each.run.id,
        **each.run.settings,
        "parameters": _parameters(each),
        "weights": block_weights(each.run.config.model),
        "steps": each.run.config.training.steps,
        "state": each.state,
        "step": each.step,
        "seconds_left": each.seconds_left,
        "said": each.said,
        "kept": each.kept,
        "job": each.job,
        "node": each.node,
    }


def _parameters(each: Standing) -> int:
    """Those that its run.json names; of a run that is not there they are counted, for which torch is imported."""
    if each.parameters is not None:
        return each.parameters
    from nervelab.status.parameters import parameter_count

    return parameter_count(each.run.config)
