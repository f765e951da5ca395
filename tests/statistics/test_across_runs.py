"""Correlations and slopes over separate trainings, against scipy and formulas written out."""

import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from nervelab.statistics.across_runs import (
    difference_of,
    mean_correlation,
    mean_of,
    pearson_of,
    share_of,
    slope,
    spearman_of,
)
from nervelab.statistics.estimate import Estimate

CONFIDENCE = 0.95


@pytest.fixture(params=[5, 8, 72])
def pairs(request):
    random = np.random.default_rng(request.param)
    x = random.standard_normal(request.param)
    return x, x + random.standard_normal(request.param)


def ends(estimate: Estimate) -> tuple[float, float, float]:
    return estimate.value, estimate.low, estimate.high


@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_pearsons_interval_is_scipys(pairs, confidence):
    expected = stats.pearsonr(*pairs)
    interval = expected.confidence_interval(confidence)
    assert ends(pearson_of(*pairs, confidence)) == pytest.approx((expected.statistic, interval.low, interval.high))


def test_spearmans_interval_is_fiellers(pairs):
    r = stats.spearmanr(*pairs).statistic
    error = math.sqrt(1.06 / (len(pairs[0]) - 3))
    expected = (r, math.tanh(math.atanh(r) - 1.959964 * error), math.tanh(math.atanh(r) + 1.959964 * error))
    assert ends(spearman_of(*pairs, CONFIDENCE)) == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize("correlation", [pearson_of, spearman_of])
@pytest.mark.parametrize(
    ("x", "y"), [([1, 2, 3], [1, 3, 2]), ([1, 1, 1, 1], [1, 2, 3, 4]), ([1, 2, 3, 4], [2, 2, 2, 2]), ([], [])]
)
def test_too_few_pairs_or_a_side_that_does_not_vary_have_no_correlation(correlation, x, y):
    assert correlation(x, y, CONFIDENCE) == Estimate()


@pytest.mark.parametrize("sign", [1, -1])
def test_a_perfect_correlation_has_an_interval_without_width(sign):
    x = np.arange(8.0)
    assert ends(spearman_of(x, sign * x**3, CONFIDENCE)) == (sign, sign, sign)


@pytest.mark.parametrize(
    ("order", "r", "excludes_zero"),
    [
        ([4, 7, 8, 6, 5, 3, 2, 1], -0.738, True),
        ([4, 7, 8, 5, 6, 3, 2, 1], -0.714, False),
    ],
)
def test_the_weakest_rank_correlation_of_eight_widths_that_excludes_zero(order, r, excludes_zero):
    estimate = spearman_of(range(8), order, CONFIDENCE)
    assert estimate.value == pytest.approx(r, abs=5e-4)
    assert (estimate.high < 0) is excludes_zero


def test_the_mean_correlation_is_the_tanh_of_the_mean_z():
    rs = [-0.97, -0.98, -0.99, -0.9, -0.95]
    z = np.arctanh(rs)
    half = stats.t.ppf(0.975, 4) * stats.sem(z)
    expected = np.tanh([z.mean(), z.mean() - half, z.mean() + half])
    assert ends(mean_correlation(rs, CONFIDENCE)) == pytest.approx(tuple(expected))
    assert ends(mean_correlation(rs, CONFIDENCE))[1:] == pytest.approx(
        tuple(np.tanh(stats.ttest_1samp(z, 0).confidence_interval(0.95)))
    )


def test_a_mean_over_runs_has_scipys_t_interval():
    values = [0.1, 0.5, -0.2, 0.4]
    interval = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert ends(mean_of(values, CONFIDENCE)) == pytest.approx((0.2, interval.low, interval.high))


@pytest.mark.parametrize("rs", [[], [0.5], [0.5, 1.0], [0.5, math.nan]])
def test_a_mean_needs_two_finite_numbers(rs):
    assert mean_correlation(rs, CONFIDENCE) == Estimate()


@pytest.mark.parametrize("values", [[], [0.5], [0.5, math.inf], [0.5, math.nan]])
def test_a_mean_over_runs_needs_two_finite_numbers(values):
    assert mean_of(values, CONFIDENCE) == Estimate()


def test_a_slope_is_that_of_the_normal_equations_in_logarithms():
    x = np.array([64, 128, 192, 256, 320, 384, 448, 512])
    y = 3 * x**-0.4 * np.exp(0.05 * np.random.default_rng(0).standard_normal(8))
    design = np.column_stack([np.ones(8), np.log(x)])
    solved, residual, *_ = np.linalg.lstsq(design, np.log(y), rcond=None)
    error = math.sqrt(residual[0] / 6 * np.linalg.inv(design.T @ design)[1, 1])
    half = stats.t.ppf(0.975, 6) * error
    assert ends(slope(x, y, CONFIDENCE)) == pytest.approx((solved[1], solved[1] - half, solved[1] + half))
    assert abs(solved[1] + 0.4) < half


def test_the_papers_exponents_are_those_that_the_rule_names():
    """Table 7 between its ends: PR_post / D from 292 / 768 to 1822 / 6144 and from 95 / 768 to 71 / 6144."""
    for first, last, named in ((292, 1822, -0.12), (95, 71, -1.14)):
        assert math.log(last / 8 / first) / math.log(8) == pytest.approx(named, abs=0.005)


@pytest.mark.parametrize(("x", "y"), [([64, 128], [1, 2]), ([64, 128, 192], [1, None, 2])])
def test_a_slope_needs_three_widths_and_a_number_at_each(x, y):
    assert slope(x, y, CONFIDENCE) == Estimate()


def test_the_difference_of_two_correlations_has_zous_interval():
    """Against the same written out from the covariance of two correlations that share a variable (Steiger 1980)."""
    random = np.random.default_rng(4)
    loss = random.standard_normal(20)
    x, other = (loss + scale * random.standard_normal(20) for scale in (0.5, 1.5))
    r, s, q = np.corrcoef([x, other, loss])[0, 2], np.corrcoef(other, loss)[0, 1], np.corrcoef(x, other)[0, 1]
    covariance = q * (1 - r**2 - s**2) - r * s * (1 - r**2 - s**2 - q**2) / 2  # times n
    alike = covariance / ((1 - r**2) * (1 - s**2))
    one, two = (stats.pearsonr(each, loss).confidence_interval(0.95) for each in (x, other))
    below, above = (r - one.low, two.high - s), (one.high - r, s - two.low)
    low, high = (math.sqrt(a * a + b * b - 2 * alike * a * b) for a, b in (below, above))
    assert ends(difference_of(x, other, loss, CONFIDENCE)) == pytest.approx((r - s, r - s - low, r - s + high))


def test_a_difference_is_turned_about_by_exchanging_its_sides(pairs):
    loss, x = pairs
    other = np.random.default_rng(9).standard_normal(len(x))
    value, low, high = ends(difference_of(x, other, loss, CONFIDENCE))
    assert ends(difference_of(other, x, loss, CONFIDENCE)) == pytest.approx((-value, -high, -low))
    assert low < value < high


def test_the_same_series_twice_differs_by_no_more_than_the_intervals_lopsidedness(pairs):
    value, low, high = ends(difference_of(pairs[1], pairs[1], pairs[0], CONFIDENCE))
    one = pearson_of(pairs[1], pairs[0], CONFIDENCE)
    lopsided = abs(one.high + one.low - 2 * one.value)
    assert (value, low, high) == pytest.approx((0, -lopsided, lopsided))


def test_a_difference_needs_two_correlations_and_an_interval_of_each():
    x, y = np.arange(6.0), np.array([0.0, 2, 1, 4, 3, 5])
    assert difference_of(x[:3], y[:3], x[:3], CONFIDENCE) == Estimate()
    assert difference_of(np.ones(6), y, x, CONFIDENCE) == Estimate()
    assert difference_of(x, y, 2 * x, CONFIDENCE) == Estimate(pytest.approx(1 - stats.pearsonr(x, y).statistic))


@pytest.mark.parametrize(("count", "total"), [(0, 32), (26, 32), (32, 32), (587, 622)])
def test_a_share_has_the_interval_of_statsmodels(count, total):
    low, high = proportion_confint(count, total, alpha=0.05, method="beta")
    expected = (count / total, 0.0 if count == 0 else low, 1.0 if count == total else high)
    assert ends(share_of(count, total, CONFIDENCE)) == pytest.approx(expected)


def test_there_is_no_share_of_nothing():
    assert share_of(0, 0, CONFIDENCE) == Estimate()
