"""Why a job of a training ended before its runs were there, as one sentence with its remedy."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nervelab import layout, runfiles
from nervelab.told import failure, refusal, stop, told

# What Slurm writes into a job's log, and the state that it means.
_MARKS = (
    (r"oom[-_]kill|Out Of Memory|OUT_OF_MEMORY", "OUT_OF_MEMORY"),
    (r"DUE TO TIME LIMIT", "TIMEOUT"),
    (r"DUE TO PREEMPTION", "PREEMPTED"),
    (r"DUE TO NODE FAILURE", "NODE_FAIL"),
    (r"CANCELLED AT", "CANCELLED"),
)
# What does to a training nothing but stop it: it goes on from its checkpoint.
_NO_FAULT = ("TIMEOUT", "DEADLINE", "PREEMPTED", "NODE_FAIL", "BOOT_FAIL")
_TABLE = layout.EXECUTION


@dataclass(frozen=True)
class Ending:
    """How a job ended that trains some runs, and left at least one of them untrained.

    Attributes:
        runs: their names, of those that are not there.
        job: its id on the cluster, if it got so far.
        state: Slurm's word for it; FAILED where there is no other.
        own: what the training itself said of its failure, if it did.
        stopped: what a training said that saved and stopped, if one did.
        refused: whether each of its runs ended with a sentence that another attempt would end with, too.
        asked: the memory (MB) and the minutes that it was given.
    """

    runs: Sequence[str]
    job: str | None
    state: str
    own: str | None
    stopped: str | None
    refused: bool
    asked: tuple[int, int]

    @property
    def only_stopped(self) -> bool:
        """Whether a training of it was only stopped, so that it is to go on if it moved."""
        return self.state in _NO_FAULT or self.stopped is not None

    def sentence(self) -> str:
        """What happened, to which run, and which number in which file to raise, if that helps."""
        more = f" (and {len(self.runs) - 1} more)" if len(self.runs) > 1 else ""
        who = f"{self.runs[0] if self.runs else 'a training'}{more}"
        job = f"job {self.job}" if self.job else "its job"
        memory, minutes = self.asked
        if self.state == "OUT_OF_MEMORY":
            return (
                f"{who}: {job} ran out of memory at {memory} MB: raise memory_mb of the size of its model in {_TABLE}."
            )
        if self.own:
            return f"{who}: {self.own.removesuffix('.')} ({job})."
        if self.state in ("TIMEOUT", "DEADLINE") or (self.stopped and "time limit" in self.stopped):
            return (
                f"{who}: {job} met its time limit of {minutes} minutes{self._sum}: raise minutes of the size of its "
                f"model in {_TABLE}."
            )
        words = {"PREEMPTED": "was preempted", "NODE_FAIL": "lost its node", "CANCELLED": "was cancelled"}
        words["GONE"] = "is not known to the queue any more"
        if self.state in words or self.stopped:
            how = words.get(self.state, self.stopped and self.stopped.partition(";")[0])
            return f"{who}: {job} {how}: the same command goes on from the checkpoint."
        return f"{who}: {job} ended as {self.state}, and the training said nothing: its log may say more."

    @property
    def _sum(self) -> str:
        return ", the sum over its runs," if len(self.runs) > 1 else ""


def ending(runs: Sequence[str], *, job: str | None, state: str, log: Path | None, asked: tuple[int, int]) -> Ending:
    """What became of a job, from its state, Slurm's `log` of it and the logs of its runs (`scale/name`)."""
    left = [run for run in runs if not _is_there(run)]
    slurm = log.read_text(encoding="utf-8", errors="replace") if log is not None and log.exists() else ""
    if state == "FAILED":
        state = next((meant for mark, meant in _MARKS if re.search(mark, slurm)), state)
    logs = {Path(run).name: Path("logs") / f"{run}.log" for run in left}
    said = {name: failure(log) for name, log in logs.items()}
    names = sorted(logs, key=lambda name: said[name] is None)  # who said why it failed comes first
    stopped = next(filter(None, map(stop, logs.values())), None)
    refused = state == "FAILED" and bool(logs) and all(map(refusal, logs.values()))
    return Ending(names, job, state, said[names[0]] if names else None, stopped, refused, asked)


def saved_steps(runs: Sequence[str], steps: dict[str, int]) -> int:
    """How far some runs (`scale/name`) are, as their checkpoints have it; `steps` has those of a whole training."""
    return sum(steps[run] if _is_there(run) else told(Path(run).name).saved for run in runs)


def _is_there(run: str) -> bool:
    return (layout.RUNS / run / runfiles.RUN_JSON).exists()
