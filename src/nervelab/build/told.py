"""What a training tells of itself while it runs: how far it is, and whether it lives."""

from __future__ import annotations

import json
from dataclasses import dataclass

from nervelab import layout
from nervelab.build.locks import held


@dataclass(frozen=True)
class Told:
    """How far a training was when it last told: `seconds_left` at the pace of its last execution, None if unknown."""

    step: int = 0
    seconds_left: float | None = None


def told(name: str) -> Told:
    """What the training of the run of this name told last; step 0 before it told anything."""
    try:
        note = json.loads((layout.CHECKPOINTS / name / "progress.json").read_text(encoding="utf-8"))
        return Told(note["step"], note.get("seconds_left"))
    except (FileNotFoundError, json.JSONDecodeError, KeyError, TypeError, AttributeError):
        return Told()  # a note for people: a damaged one says nothing


def alive(name: str) -> bool:
    """Whether a process on this machine trains the run of this name: it holds the run's lock."""
    return held(layout.CHECKPOINTS / name / "lock")
