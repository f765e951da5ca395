"""What two versions of a study are compared by: few numbers, under names that a terminal has room for."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from statistics import fmean
from typing import Any

from nervelab.aggregates.find import Aggregates
from nervelab.aggregates.run import Run
from nervelab.analysis.baselines import baselines
from nervelab.analysis.findings.finding import WORDS, Verdict
from nervelab.files import digest
from nervelab.words.runs import outcome

KEYS = 70
"""The most numbers that metrics.json holds."""
LETTERS = 32
"""The longest name of one, as DVC prints it: `group.name`."""


def metrics(verdicts: Mapping[str, Verdict], aggregates: Aggregates) -> dict[str, Any]:
    """How many findings have each verdict, the effect that decides each, and the final eval loss of each baseline.

    Findings are named by their ids; None stands where the deciding effect has no value. A loss is the mean over seeds,
    None if one of them failed. Bases that would make more than `KEYS` numbers are left out, the last first.
    """
    counts = Counter(verdict.verdict for verdict in verdicts.values())
    losses = {name: mean_loss(runs) for name, runs in losses_of(aggregates).items()}
    room = KEYS - len(WORDS) - len(verdicts)
    return {
        "verdicts": {word.replace(" ", "-"): counts[word] for word in WORDS},
        "effects": {id: verdict.deciding.value for id, verdict in verdicts.items()},
        "loss": dict(list(losses.items())[:room]),
    }


def losses_of(aggregates: Aggregates) -> dict[str, tuple[Run, ...]]:
    """The runs of each baseline, by the name of its loss."""
    return {_fitting(name, "loss"): runs for name, runs in baselines(aggregates).items()}


def mean_loss(runs: tuple[Run, ...]) -> float | None:
    """The mean over seeds; None if one of them failed, or has a loss that is no number."""
    loss = fmean(run.row["eval_loss"] for run in runs) if outcome(runs) == "finished" else math.nan
    return loss if math.isfinite(loss) else None


def _fitting(name: str, group: str) -> str:
    """The name, or if it is too long its beginning and a digest."""
    room = LETTERS - len(group) - 1
    return name if len(name) <= room else f"{name[: room - 5]}-{digest(name)[:4]}"
