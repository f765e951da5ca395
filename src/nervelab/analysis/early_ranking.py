"""What spectra early in training say of the final loss of many models (NerVE, section 3.5)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nervelab.aggregates.find import Aggregates, over_widths
from nervelab.aggregates.run import Run
from nervelab.paper.architectures import ARCHITECTURES, BY_PLACEMENT
from nervelab.statistics.clusters import over_clusters, partial_spearman, spearman
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


def early_ranking(
    aggregates: Aggregates, share: float, predictor: str, given: Callable[[Run], float | None] | None = None
) -> EarlyRanking:
    """Spearman's r of a predictor early in training with the final eval loss, over `configurations`.

    Its interval is made by resampling architectures: the widths of one are no independent configurations.

    Args:
        aggregates: all runs.
        share: the share of the training steps after which the predictor is taken.
        predictor: a metric (mean over layers) or `LOSS`.
        given: a number of each run, given which the partial r is taken.
    """
    clusters: dict[tuple[str, str], list[list[float]]] = {}
    for run in configurations(aggregates):
        row = [at_share(run, share, predictor), run.row["eval_loss"]]
        if given is not None:
            row.append(given(run))
        if None not in row:
            clusters.setdefault((run.row["placement"], run.row["activation"]), []).append(row)
    rows = [np.array(rows) for rows in clusters.values()]
    statistic = spearman if given is None else partial_spearman
    return EarlyRanking(over_clusters(rows, statistic, aggregates.confidence, aggregates.draws), sum(map(len, rows)))


def at_share(run: Run, share: float, predictor: str) -> float | None:
    """A predictor at the measured step nearest to a share of the training; None if none is near."""
    steps, metric = run.row["steps"], "se_post" if predictor == LOSS else predictor
    grid = run.grid(metric)
    nearest = int(np.abs(grid.steps_S - share * steps).argmin())
    if abs(grid.steps_S[nearest] - share * steps) > NEAREST * steps:
        return None
    if predictor == LOSS:
        return float(run.eval_loss_at(grid.steps_S[nearest : nearest + 1])[0])
    return float(grid.values_SL[nearest].mean())


def first_measured(run: Run, metric: str) -> float:
    """A metric, mean over layers, at the first measured step."""
    return float(run.grid(metric).values_SL[0].mean())
