"""What a training tells of itself while it runs and in its log: how far it is, and how it ended."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from nervelab import layout

_DEFECT = re.compile(r"[\w.]*(Error|Exception)\b")


@dataclass(frozen=True)
class Told:
    """How far a training was when it last told.

    Attributes:
        step: the step it was at.
        saved: the step of its checkpoint, from which another execution would go on.
        seconds_left: until its end, at the pace of its last execution; None if unknown.
    """

    step: int = 0
    saved: int = 0
    seconds_left: float | None = None


def told(name: str) -> Told:
    """What the training of the run of this name told last; step 0 before it told anything."""
    try:
        note = json.loads((layout.CHECKPOINTS / name / "progress.json").read_text(encoding="utf-8"))
        return Told(note["step"], note.get("saved", 0), note.get("seconds_left"))
    except (FileNotFoundError, json.JSONDecodeError, KeyError, TypeError, AttributeError):
        return Told()  # a note for people: a damaged one says nothing


def refusal(log: Path) -> str | None:
    """The sentence with its remedy that a job ended with, which no other attempt changes; None if it had none."""
    own = [line.removeprefix("error: ") for line in _lines(log) if line.startswith("error: ")]
    return own[-1] if own else None


def failure(log: Path) -> str | None:
    """The sentence that a job's last execution ended with, from its log; None if it ended otherwise."""
    lines = _lines(log)
    defect = f"{lines[-1]} ({log} has the whole story)" if lines and _DEFECT.match(lines[-1]) else None
    return refusal(log) or defect


def stop(log: Path) -> str | None:
    """What a training said that saved and stopped, as it was asked to; None if it ended otherwise."""
    lines = _lines(log)
    return lines[-1] if lines and lines[-1].startswith("stopped ") else None


def _lines(log: Path) -> list[str]:
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return []
    return [line.strip() for line in text.splitlines() if line.strip()]
