"""How far two trainings that differ only in their seed lie apart: what a difference between runs is held against."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t

from nervelab.aggregates.find import SHORT_RECIPE, Aggregates
from nervelab.aggregates.run import Run
from nervelab.analysis.quantities import Quantity
from nervelab.paper.architectures import BASELINE
from nervelab.statistics.estimate import Estimate
from nervelab.statistics.exponential import exponential
from nervelab.study.decisions import Analysis


@dataclass(frozen=True)
class Noise:
    """The spread of a quantity over seeds, pooled over models that were trained on several.

    Attributes:
        deviation: pooled standard deviation, of ln(quantity) if the quantity is compared by ratios.
        freedom: its degrees of freedom, runs less models.
        models: how many models it is pooled over.
        runs: the names of their runs.
    """

    deviation: float
    freedom: int
    models: int
    runs: tuple[str, ...] = ()


def seed_noise(
    aggregates: Aggregates, quantity: Quantity, settings: Analysis, recipe: str | None = None
) -> Noise | None:
    """The spread of a quantity, pooled over the models of the baseline's base and optimiser that a recipe trains.

    By default the recipe is that of the aggregates. None where none of them finished on two seeds or more.
    """
    alike = aggregates.replicates(recipe or aggregates.recipe, **{key: BASELINE[key] for key in ("base", "optimiser")})
    return _pooled(alike, quantity, settings)


def seed_noise_everywhere(aggregates: Aggregates, quantity: Quantity, settings: Analysis) -> Noise | None:
    """As `seed_noise`, pooled over the models of every base and optimiser of the short recipe."""
    return _pooled(aggregates.replicates(SHORT_RECIPE["recipe"]), quantity, settings)


def _pooled(models: Iterable[Sequence[Run]], quantity: Quantity, settings: Analysis) -> Noise | None:
    found = [(_values(runs, quantity, settings), runs) for runs in models]
    pooled = [(values, runs) for values, runs in found if len(values) > 1]
    groups = [values for values, _ in pooled]
    if not groups:
        return None
    freedom = sum(len(values) - 1 for values in groups)
    squares = sum(float(((values - values.mean()) ** 2).sum()) for values in groups)
    names = (run.row["name"] for _, runs in pooled for run in runs if quantity.of(run, settings) is not None)
    return Noise(math.sqrt(squares / freedom), freedom, len(groups), tuple(names))


def level(runs: Sequence[Run], quantity: Quantity, noise: Noise | None, settings: Analysis) -> Estimate:
    """The mean of a quantity over the seeds of one model (of their logarithms if it is compared by ratios)."""
    values = _values(runs, quantity, settings)
    if not values.size:
        return Estimate()
    return _estimate(float(values.mean()), 1 / len(values), quantity, noise, settings)


def contrast(
    runs: Sequence[Run], others: Sequence[Run], quantity: Quantity, noise: Noise | None, settings: Analysis
) -> Estimate:
    """The mean of `runs` less that of `others`, or over it if the quantity is compared by ratios."""
    values, against = _values(runs, quantity, settings), _values(others, quantity, settings)
    if not values.size or not against.size:
        return Estimate()
    difference = float(values.mean() - against.mean())
    return _estimate(difference, 1 / len(values) + 1 / len(against), quantity, noise, settings)


def paired_contrast(
    pairs: Iterable[tuple[Run, Run]], quantity: Quantity, noise: Noise | None, settings: Analysis
) -> Estimate:
    """The mean over pairs of runs of the first less the second (or over it); every run counts as one training."""
    differences = []
    for pair in pairs:
        values = _values(pair, quantity, settings)
        if len(values) < 2:
            return Estimate()
        differences.append(float(values[0] - values[1]))
    if not differences:
        return Estimate()
    return _estimate(float(np.mean(differences)), 2 / len(differences), quantity, noise, settings)


def half_width(variance_share: float, noise: Noise, settings: Analysis) -> float:
    """Half the width of an interval: Student's t times the deviation times the root of `variance_share`."""
    return float(t.ppf((1 + settings.confidence) / 2, noise.freedom)) * noise.deviation * math.sqrt(variance_share)


def _estimate(
    centre: float, variance_share: float, quantity: Quantity, noise: Noise | None, settings: Analysis
) -> Estimate:
    back = exponential if quantity.by_ratio else float
    if noise is None:
        return Estimate(back(centre))
    half = half_width(variance_share, noise, settings)
    return Estimate(back(centre), back(centre - half), back(centre + half))


def _values(runs: Iterable[Run], quantity: Quantity, settings: Analysis) -> np.ndarray:
    values = [value for run in runs if (value := quantity.of(run, settings)) is not None]
    return np.log(values) if quantity.by_ratio else np.array(values, dtype=float)
