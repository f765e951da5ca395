"""The bootstrap over clusters, against resamples made row by row with scipy and statsmodels."""

import math

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats

from nervelab.statistics.blocks import Draws
from nervelab.statistics.clusters import FEWEST, over_clusters, partial_spearman, spearman
from nervelab.statistics.estimate import Estimate

CONFIDENCE, DRAWS = 0.95, Draws(200, seed=4)


@pytest.fixture
def clusters():
    """Seven clusters of different sizes, with ties, shape [n, 3]."""
    random = np.random.default_rng(0)
    shared = random.standard_normal((7, 3))
    return [np.round(mean + random.standard_normal((size, 3)), 1) for size, mean in enumerate(shared, start=2)]


def scipys(rows: np.ndarray) -> float:
    return stats.spearmanr(rows[:, 0], rows[:, 1]).statistic


def partial_of(rows: np.ndarray) -> float:
    """Of ranks, the correlation of what straight lines over those of the third leave."""
    ranks = stats.rankdata(rows, axis=0)
    given = sm.add_constant(ranks[:, 2])
    return stats.pearsonr(*(sm.OLS(ranks[:, side], given).fit().resid for side in (0, 1))).statistic


@pytest.mark.parametrize(
    ("statistic", "columns", "expected"), [(spearman, 2, scipys), (partial_spearman, 3, partial_of)]
)
def test_a_resample_is_that_of_rows_repeated(clusters, statistic, columns, expected):
    rows = np.concatenate(clusters)[:, :columns]
    counts_BN = np.random.default_rng(1).integers(0, 4, (20, len(rows))).astype(float)
    repeated = [expected(np.repeat(rows, counts_N.astype(int), axis=0)) for counts_N in counts_BN]
    np.testing.assert_allclose(statistic(rows, counts_BN), repeated, atol=1e-12)


@pytest.mark.parametrize(
    ("statistic", "columns", "expected"), [(spearman, 2, scipys), (partial_spearman, 3, partial_of)]
)
def test_the_interval_is_of_whole_clusters_and_stretched_for_few(clusters, statistic, columns, expected):
    clusters = [each[:, :columns] for each in clusters]
    drawn = np.random.default_rng(DRAWS.seed).integers(7, size=(DRAWS.resamples, 7))
    resampled = [expected(np.concatenate([clusters[each] for each in row])) for row in drawn]
    value = expected(np.concatenate(clusters))
    stretch = math.sqrt(7 / 6) * 2.446912 / 1.959964
    z = np.arctanh([value, *np.quantile(resampled, [0.025, 0.975])])
    ends = np.tanh([z[0] - stretch * (z[0] - z[1]), z[0] + stretch * (z[2] - z[0])])
    found = over_clusters(clusters, statistic, CONFIDENCE, DRAWS)
    assert (found.value, found.low, found.high) == pytest.approx((value, *ends), rel=1e-5)


def test_rows_that_belong_together_widen_the_interval():
    random = np.random.default_rng(2)
    means = random.standard_normal((9, 1, 2)) @ np.linalg.cholesky([[1, 0.7], [0.7, 1]]).T
    clusters = list(means + 0.1 * random.standard_normal((9, 8, 2)))
    together = over_clusters(clusters, spearman, CONFIDENCE, DRAWS)
    rows = np.concatenate(clusters)
    apart = over_clusters(list(rows[:, None]), spearman, CONFIDENCE, DRAWS)
    assert together.value == pytest.approx(apart.value)
    assert together.high - together.low > 1.5 * (apart.high - apart.low)


def test_few_clusters_have_no_interval_and_that_of_a_perfect_order_has_no_width(clusters):
    few = over_clusters([each[:, :2] for each in clusters[: FEWEST - 1]], spearman, CONFIDENCE, DRAWS)
    assert few == Estimate(few.value)
    perfect = [np.repeat(np.arange(3.0)[:, None] + 3 * each, 2, axis=1) for each in range(6)]
    assert over_clusters(perfect, spearman, CONFIDENCE, DRAWS) == Estimate(1.0, 1.0, 1.0)


@pytest.mark.parametrize("columns", [2, 3])
def test_what_does_not_vary_has_no_correlation(columns):
    statistic = spearman if columns == 2 else partial_spearman
    assert over_clusters([np.ones((4, columns))] * 6, statistic, CONFIDENCE, DRAWS) == Estimate()
    assert over_clusters([], statistic, CONFIDENCE, DRAWS) == Estimate()
