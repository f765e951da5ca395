"""What spectra early in training say of the final loss of many models (NerVE, section 3.5)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nervelab.aggregates.find import Aggregates, over_widths
from nervelab.aggregates.run import Run
from nervelab.paper.architectures import ARCHITECTURES, BY_PLACEMENT
from nervelab.statistics.across_runs import spearman_of
from nervelab.statistics.estimate import Estimate

SHARES = (0.05, 0.10, 0.25)
"""Shares of the training after which early ranking is judged."""
LOSS = "eval_loss"
NEAREST = 0.005
"""By how much of the training a measured step may miss a share of it."""


@dataclass(frozen=True)
class EarlyRanking:
    """How a predictor at a share of the training ranks configurations by their final eval loss.

    Attributes:
        correlation: Spearman's r with the final eval loss.
        configurations: over how many models and widths.
    """

    correlation: Estimate
    configurations: int


def configurations(aggregates: Aggregates) -> tuple[Run, ...]:
    """The runs of every architecture and placement at every width, the lowest seed of each, that finished."""
    models = (*ARCHITECTURES, *BY_PLACEMENT.values())
    found = [run for model in models for run in over_widths(aggregates, model)]
    unique = {run.row["name"]: run for run in found if run is not None and not run.failed}
    return tuple(unique.values())


def early_ranking(aggregates: Aggregates, share: float, predictor: str) -> EarlyRanking:
    """Spearman's r of a predictor early in training with the final eval loss, over `configurations`.

    The predictor is a metric (mean over layers) or `LOSS`, the eval loss at that share of the training steps.
    """
    early, last = [], []
    for run in configurations(aggregates):
        value = _at(run, share, predictor)
        if value is not None:
            early.append(value)
            last.append(run.row["eval_loss"])
    return EarlyRanking(spearman_of(early, last, aggregates.confidence), len(early))


def _at(run: Run, share: float, predictor: str) -> float | None:
    """A predictor at the measured step nearest to a share of the training; None if none is near."""
    steps, metric = run.row["steps"], "se_post" if predictor == LOSS else predictor
    grid = run.grid(metric)
    nearest = int(np.abs(grid.steps_S - share * steps).argmin())
    if abs(grid.steps_S[nearest] - share * steps) > NEAREST * steps:
        return None
    if predictor == LOSS:
        return float(run.eval_loss_at(grid.steps_S[nearest : nearest + 1])[0])
    return float(grid.values_SL[nearest].mean())
