"""Models compared over their seeds: against how far trainings lie apart that differ in nothing but their seed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from nervelab.aggregates.find import SHORT_RECIPE, Aggregates
from nervelab.aggregates.run import Run
from nervelab.analysis.borrowed import EVERYWHERE, Relative, borrowed
from nervelab.analysis.quantities import Quantity
from nervelab.files import canonical_json
from nervelab.paper.architectures import BASELINE
from nervelab.statistics.estimate import Estimate, of_logarithm
from nervelab.statistics.spread import Prior, Spread, prior


@dataclass(frozen=True)
class Noise:
    """What seeds do to a quantity, or to its logarithm if it is compared by ratios.

    Attributes:
        models: of the spreads over seeds of models that were trained on several.
        confidence: the level of the intervals that are made of it.
        runs: the names of the runs.
        pairs: likewise of the differences of two such models over seeds that they share; None where there are none.
        size: what the quantity amounts to over all of these models; 1 if it is compared by ratios.
        assumed_from: the scale whose relative noise stands in for that of this one; empty if it was measured here.
    """

    models: Prior
    confidence: float
    runs: tuple[str, ...] = ()
    pairs: Prior | None = None
    size: float = 1.0
    assumed_from: str = ""

    @property
    def spread(self) -> Spread:
        """That of a model of which no seeds are known."""
        return self.models.alone


def seed_noise(aggregates: Aggregates, quantity: Quantity, recipe: str | None = None) -> Noise | None:
    """What seeds do to a quantity in the models of the baseline's base and optimiser that a recipe trains.

    By default the recipe is that of the aggregates. None where none of them finished on two seeds or more, and no
    other scale's noise may stand in (`nervelab.analysis.borrowed`).
    """
    recipe = recipe or aggregates.recipe
    alike = aggregates.replicates(recipe, **{key: BASELINE[key] for key in ("base", "optimiser")})
    return _noise(alike, quantity, aggregates, recipe)


def seed_noise_everywhere(aggregates: Aggregates, quantity: Quantity) -> Noise | None:
    """As `seed_noise`, in the models of every base and optimiser of the short recipe."""
    return _noise(aggregates.replicates(SHORT_RECIPE["recipe"]), quantity, aggregates, EVERYWHERE)


def _noise(models: Sequence[Sequence[Run]], quantity: Quantity, aggregates: Aggregates, kind: str) -> Noise | None:
    replicated = [_with(quantity, sorted(runs, key=lambda run: run.row["seed"])) for runs in models if len(runs) > 1]
    several = [runs for runs in replicated if len(runs) > 1]
    if not several:
        return _assumed(models, quantity, aggregates, kind)
    size = _size([run for runs in several for run in runs], quantity)
    of_models = prior([_values(runs, quantity) for runs in several])
    names = tuple(run.row["name"] for runs in several for run in runs)
    return Noise(of_models, aggregates.confidence, names, _of_pairs(several, quantity), size)


def _of_pairs(models: Sequence[Sequence[Run]], quantity: Quantity) -> Prior | None:
    """What the differences of any two models say that were trained on the same batches, seed by seed."""
    together: dict[tuple[str, ...], list[np.ndarray]] = {}
    for runs in models:
        together.setdefault(tuple(batches_of(run) for run in runs), []).append(_values(runs, quantity))
    pairs = [one - other for alike in together.values() for one, other in combinations(alike, 2)]
    # Of m models on n seeds m (m - 1) / 2 pairs are made, which hold no more than m - 1 independent ones.
    freedom = sum((len(alike) - 1) * (len(seeds) - 1) for seeds, alike in together.items())
    return prior(pairs, freedom)


def _assumed(models: Sequence[Sequence[Run]], quantity: Quantity, aggregates: Aggregates, kind: str) -> Noise | None:
    """The relative noise of another scale, times the size that the quantity has over the models of this one."""
    found = borrowed(aggregates.scale, kind, quantity.id)
    runs = _with(quantity, (run for runs in models for run in runs)) if found else []
    if found is None or not runs:
        return None
    size = _size(runs, quantity)
    of_pairs = None if found.pairs is None else _as_prior(found.pairs, size)
    return Noise(_as_prior(found.models, size), aggregates.confidence, (), of_pairs, size, found.scale)


def _as_prior(relative: Relative, size: float) -> Prior:
    freedom = relative.degrees_of_freedom
    return Prior((relative.deviation * size) ** 2, freedom, freedom, relative.groups)


def _size(runs: Sequence[Run], quantity: Quantity) -> float:
    """What a quantity amounts to over runs: the root of its mean square; 1 if it is compared by ratios."""
    return 1.0 if quantity.by_ratio else float(np.sqrt(np.mean(np.square(_values(runs, quantity)))))


def batches_of(run: Run) -> str:
    """What decides which batches a run sees: runs that agree in it are trained on the same ones, in the same order."""
    config, training = run.config, run.config["training"]
    seen = [config[key] for key in ("seed", "dataset", "tokenizer") if key in config]
    seen += [training.get(key) for key in ("batch", "windows", "augmentation")]
    return canonical_json([*seen, config["model"].get("context")])


def level(runs: Sequence[Run], quantity: Quantity, noise: Noise | None) -> Estimate:
    """The mean of a quantity over the seeds of one model (of their logarithms if it is compared by ratios).

    Its spread is that of the model's own seeds, with what those of other models say of it.
    """
    values = _values(runs, quantity)
    if not values.size:
        return Estimate()
    spread = noise and noise.models.of(values).of_mean(len(values))
    return _estimate(float(values.mean()), spread, quantity, noise)


def contrast(runs: Sequence[Run], others: Sequence[Run], quantity: Quantity, noise: Noise | None) -> Estimate:
    """The mean of `runs` less that of `others`, or over it if the quantity is compared by ratios.

    Two models on the same seeds and batches are compared seed by seed; of others the variances of their means add up.
    """
    runs, others = _with(quantity, runs), _with(quantity, others)
    values, against = _values(runs, quantity), _values(others, quantity)
    if not values.size or not against.size:
        return Estimate()
    difference = float(values.mean() - against.mean())
    if noise is None:
        return _estimate(difference, None, quantity, noise)
    if noise.pairs is not None and paired(runs, others):
        return _estimate(difference, noise.pairs.of(values - against).of_mean(len(values)), quantity, noise)
    sides = [noise.models.of(each).of_mean(len(each)) for each in (values, against)]
    return _estimate(difference, sides[0].less(sides[1], noise.models.all_freedom), quantity, noise)


def paired(runs: Sequence[Run], others: Sequence[Run]) -> bool:
    """Whether two models were trained on the same seeds and batches."""
    return [batches_of(run) for run in runs] == [batches_of(run) for run in others]


def _estimate(centre: float, spread: Spread | None, quantity: Quantity, noise: Noise | None) -> Estimate:
    estimate = Estimate(centre)
    if spread is not None and noise is not None:
        half = spread.half_width(1, noise.confidence)
        estimate = Estimate(centre, centre - half, centre + half)
    return of_logarithm(estimate) if quantity.by_ratio else estimate


def _with(quantity: Quantity, runs: Iterable[Run]) -> list[Run]:
    """Those of the runs that have the quantity."""
    return [run for run in runs if quantity.of(run) is not None]


def _values(runs: Iterable[Run], quantity: Quantity) -> np.ndarray:
    values = [value for run in runs if (value := quantity.of(run)) is not None]
    return np.log(values) if quantity.by_ratio else np.array(values, dtype=float)
