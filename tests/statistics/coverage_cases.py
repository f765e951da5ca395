"""Every kind of interval on made-up data whose answer is known: `CASES`, each a trial that says whether it was held."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from nervelab.statistics.across_runs import (
    difference_of,
    mean_correlation,
    mean_of,
    pearson_of,
    share_of,
    slope,
    spearman_of,
)
from nervelab.statistics.blocks import Draws, mean_interval
from nervelab.statistics.clusters import over_clusters, partial_spearman, spearman
from nervelab.statistics.estimate import Estimate
from nervelab.statistics.spread import prior
from nervelab.statistics.within_run import correlate, shift

CONFIDENCE, DRAWS = 0.95, Draws(400, seed=0)
CHECKPOINTS = 11
"""In the window of a run by the long recipe at laptop scale."""
PERSISTENCE = 0.4
"""Between neighbours. That of checkpoints is 0.65 with their drift, -0.2 to 0.3 about the line over the ln of steps."""
STRENGTH = 4.0
"""Of the prior that spreads are drawn from: models whose variances differ by some factor of ten."""
MODELS, SEEDS, ARCHITECTURES, WIDTHS = 5, 3, 9, 8
R = 0.6

Trial = Callable[[np.random.Generator], bool]


def rank_correlation(r: float) -> float:
    """Spearman's r of a bivariate normal with correlation `r`."""
    return 6 / math.pi * math.asin(r / 2)


def holds(estimate: Estimate, true: float) -> bool:
    return estimate.low <= true <= estimate.high


def series(random: np.random.Generator, columns: int, checkpoints: int = CHECKPOINTS) -> np.ndarray:
    """Independent autoregressive series with mean 0 and variance 1, shape [S, columns]."""
    shocks = random.standard_normal((checkpoints + 30, columns))
    values = [shocks[0]]
    for shock in shocks[1:]:
        values.append(PERSISTENCE * values[-1] + math.sqrt(1 - PERSISTENCE**2) * shock)
    return np.array(values[-checkpoints:])


def related(random: np.random.Generator, size: int, r: float = R) -> np.ndarray:
    """Normal pairs with correlation `r`, shape [size, 2]."""
    return random.multivariate_normal([0, 0], [[1, r], [r, 1]], size)


def two_series(random: np.random.Generator) -> np.ndarray:
    x, y = series(random, 2).T
    return np.column_stack([x, R * x + math.sqrt(1 - R**2) * y])


def models_on_seeds(random: np.random.Generator) -> np.ndarray:
    """Models whose noise differs, and whose seeds have something in common, shape [MODELS, SEEDS]; all means are 0."""
    deviation_M1 = np.sqrt(STRENGTH / random.chisquare(STRENGTH, MODELS))[:, None]
    return deviation_M1 * random.standard_normal((MODELS, SEEDS)) + random.standard_normal(SEEDS)


def level_of_a_model(random: np.random.Generator) -> bool:
    values = models_on_seeds(random)
    spread = prior(list(values)).of(values[0]).of_mean(SEEDS)
    return abs(values[0].mean()) <= spread.half_width(1, CONFIDENCE)


def a_model_on_one_seed(random: np.random.Generator) -> bool:
    values = models_on_seeds(random)
    known = prior(list(values[1:]))
    return abs(values[0, 0]) <= known.alone.half_width(1, CONFIDENCE)


def paired_contrast(random: np.random.Generator) -> bool:
    values = models_on_seeds(random)
    pairs = [one - other for place, one in enumerate(values) for other in values[:place]]
    known = prior(pairs, (MODELS - 1) * (SEEDS - 1))
    difference = values[0] - values[1]
    return abs(difference.mean()) <= known.of(difference).of_mean(SEEDS).half_width(1, CONFIDENCE)


def noisiest_model(random: np.random.Generator) -> bool:
    """The level of the model whose noise is the largest of all."""
    deviation_M = np.sort(np.sqrt(STRENGTH / random.chisquare(STRENGTH, MODELS)))
    values = deviation_M[:, None] * random.standard_normal((MODELS, SEEDS))
    spread = prior(list(values)).of(values[-1]).of_mean(SEEDS)
    return abs(values[-1].mean()) <= spread.half_width(1, CONFIDENCE)


def unpaired_contrast(random: np.random.Generator) -> bool:
    deviations = np.sqrt(STRENGTH / random.chisquare(STRENGTH, MODELS))
    values = deviations[:, None] * random.standard_normal((MODELS, SEEDS))
    known = prior(list(values))
    sides = [known.of(each).of_mean(SEEDS) for each in values[:2]]
    difference = values[0].mean() - values[1].mean()
    return abs(difference) <= sides[0].less(sides[1], known.all_freedom).half_width(1, CONFIDENCE)


def pearson_over_runs(random: np.random.Generator) -> bool:
    return holds(pearson_of(*related(random, WIDTHS).T, CONFIDENCE), R)


def spearman_over_runs(random: np.random.Generator) -> bool:
    return holds(spearman_of(*related(random, 3 * WIDTHS).T, CONFIDENCE), rank_correlation(R))


def difference_of_correlations(random: np.random.Generator) -> bool:
    common, loss = related(random, WIDTHS, 0.8).T
    x, other = (common + 0.5 * random.standard_normal(WIDTHS) for _ in range(2))
    return holds(difference_of(x, other, loss, CONFIDENCE), 0.0)


def share_of_a_count(random: np.random.Generator) -> bool:
    """Of as few as the layers of a sweep are: the interval is conservative, as counts jump."""
    return holds(share_of(int(random.binomial(32, 0.8)), 32, CONFIDENCE), 0.8)


def mean_over_widths(random: np.random.Generator) -> bool:
    return holds(mean_of(random.standard_normal(WIDTHS), CONFIDENCE), 0.0)


def mean_correlation_over_widths(random: np.random.Generator) -> bool:
    true = 1.5
    return holds(mean_correlation(np.tanh(true + 0.4 * random.standard_normal(WIDTHS)), CONFIDENCE), math.tanh(true))


def slope_over_widths(random: np.random.Generator) -> bool:
    x = 64.0 * np.arange(1, WIDTHS + 1)
    return holds(slope(x, x**-0.4 * np.exp(0.1 * random.standard_normal(WIDTHS)), CONFIDENCE), -0.4)


def mean_over_checkpoints(random: np.random.Generator) -> bool:
    low, high = mean_interval(series(random, 1)[:, 0], CONFIDENCE)
    return low <= 0 <= high


def pearson_over_checkpoints(random: np.random.Generator) -> bool:
    low, high = correlate(two_series(random), CONFIDENCE, DRAWS).pearson_interval
    return low <= R <= high


def spearman_over_checkpoints(random: np.random.Generator) -> bool:
    interval = correlate(two_series(random), CONFIDENCE, DRAWS).spearman_interval
    return interval is not None and interval[0] <= rank_correlation(R) <= interval[1]


def shift_over_checkpoints(random: np.random.Generator) -> bool:
    x, y, loss = series(random, 3).T
    pairs = [np.column_stack([R * loss + math.sqrt(1 - R**2) * each, loss]) for each in (x, y)]
    return holds(shift(*pairs, CONFIDENCE, DRAWS), 0.0)


def architectures(random: np.random.Generator, columns: int) -> list[np.ndarray]:
    """Widths of architectures whose own means vary as much as widths do, shape [WIDTHS, columns] each."""
    covariance = np.full((columns, columns), R) + (1 - R) * np.eye(columns)
    means = random.multivariate_normal(np.zeros(columns), covariance, ARCHITECTURES)
    return [mean + random.multivariate_normal(np.zeros(columns), covariance, WIDTHS) for mean in means]


def rank_correlation_over_architectures(random: np.random.Generator) -> bool:
    return holds(over_clusters(architectures(random, 2), spearman, CONFIDENCE, DRAWS), rank_correlation(R))


def partial_over_architectures(random: np.random.Generator) -> bool:
    r = rank_correlation(R)
    return holds(
        over_clusters(architectures(random, 3), partial_spearman, CONFIDENCE, DRAWS), (r - r * r) / (1 - r * r)
    )


CASES: tuple[Trial, ...] = (
    level_of_a_model,
    noisiest_model,
    a_model_on_one_seed,
    paired_contrast,
    unpaired_contrast,
    pearson_over_runs,
    spearman_over_runs,
    difference_of_correlations,
    share_of_a_count,
    mean_over_widths,
    mean_correlation_over_widths,
    slope_over_widths,
    mean_over_checkpoints,
    pearson_over_checkpoints,
    spearman_over_checkpoints,
    shift_over_checkpoints,
    rank_correlation_over_architectures,
    partial_over_architectures,
)


def coverage(trial: Trial, times: int) -> float:
    """The share of trials in which the interval holds the true value, each with a seed of its own."""
    return float(np.mean([trial(np.random.default_rng([11, number])) for number in range(times)]))
