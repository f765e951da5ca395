"""Models compared over their seeds: against how far trainings lie apart that differ in nothing but their seed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from nervelab.aggregates.find import SHORT_RECIPE, Aggregates
from nervelab.aggregates.run import Run
from nervelab.analysis.quantities import Quantity
from nervelab.paper.architectures import BASELINE
from nervelab.statistics.estimate import Estimate
from nervelab.statistics.exponential import exponential
from nervelab.statistics.spread import Spread, pooled


@dataclass(frozen=True)
class Noise:
    """The spread of a quantity over seeds, pooled over models that were trained on several.

    Attributes:
        spread: of ln(quantity) if the quantity is compared by ratios; its groups are models.
        confidence: the level of the intervals that are made of it.
        runs: the names of the runs.
    """

    spread: Spread
    confidence: float
    runs: tuple[str, ...] = ()

    def half_width(self, variance_share: float) -> float:
        """Half the width of an interval of what has this share of a training's variance."""
        return self.spread.half_width(variance_share, self.confidence)


def seed_noise(aggregates: Aggregates, quantity: Quantity, recipe: str | None = None) -> Noise | None:
    """The spread of a quantity, pooled over the models of the baseline's base and optimiser that a recipe trains.

    By default the recipe is that of the aggregates. None where none of them finished on two seeds or more.
    """
    alike = aggregates.replicates(recipe or aggregates.recipe, **{key: BASELINE[key] for key in ("base", "optimiser")})
    return _noise(alike, quantity, aggregates.confidence)


def seed_noise_everywhere(aggregates: Aggregates, quantity: Quantity) -> Noise | None:
    """As `seed_noise`, pooled over the models of every base and optimiser of the short recipe."""
    return _noise(aggregates.replicates(SHORT_RECIPE["recipe"]), quantity, aggregates.confidence)


def _noise(models: Iterable[Sequence[Run]], quantity: Quantity, confidence: float) -> Noise | None:
    found = [(values, runs) for runs in models if len(values := _values(runs, quantity)) > 1]
    spread = pooled([values for values, _ in found])
    if spread is None:
        return None
    names = (run.row["name"] for _, runs in found for run in runs if quantity.of(run) is not None)
    return Noise(spread, confidence, tuple(names))


def level(runs: Sequence[Run], quantity: Quantity, noise: Noise | None) -> Estimate:
    """The mean of a quantity over the seeds of one model (of their logarithms if it is compared by ratios)."""
    values = _values(runs, quantity)
    if not values.size:
        return Estimate()
    return _estimate(float(values.mean()), 1 / len(values), quantity, noise)


def contrast(runs: Sequence[Run], others: Sequence[Run], quantity: Quantity, noise: Noise | None) -> Estimate:
    """The mean of `runs` less that of `others`, or over it if the quantity is compared by ratios."""
    values, against = _values(runs, quantity), _values(others, quantity)
    if not values.size or not against.size:
        return Estimate()
    difference = float(values.mean() - against.mean())
    return _estimate(difference, 1 / len(values) + 1 / len(against), quantity, noise)


def paired_contrast(pairs: Iterable[tuple[Run, Run]], quantity: Quantity, noise: Noise | None) -> Estimate:
    """The mean over pairs of runs of the first less the second (or over it); every run counts as one training."""
    differences = []
    for pair in pairs:
        values = _values(pair, quantity)
        if len(values) < 2:
            return Estimate()
        differences.append(float(values[0] - values[1]))
    if not differences:
        return Estimate()
    return _estimate(float(np.mean(differences)), 2 / len(differences), quantity, noise)


def _estimate(centre: float, variance_share: float, quantity: Quantity, noise: Noise | None) -> Estimate:
    back = exponential if quantity.by_ratio else float
    if noise is None:
        return Estimate(back(centre))
    half = noise.half_width(variance_share)
    return Estimate(back(centre), back(centre - half), back(centre + half))


def _values(runs: Iterable[Run], quantity: Quantity) -> np.ndarray:
    values = [value for run in runs if (value := quantity.of(run)) is not None]
    return np.log(values) if quantity.by_ratio else np.array(values, dtype=float)
