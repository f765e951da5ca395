import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from nervelab.statistics.blocks import MINIMUM, Draws, resample, widening, widening_of_r
from nervelab.statistics.estimate import Estimate
from nervelab.statistics.within_run import correlate, pearson_given, shift

CONFIDENCE, DRAWS = 0.95, Draws(400, seed=0)
_PAIRS = st.lists(st.tuples(st.integers(-50, 50), st.integers(-50, 50)), min_size=3, max_size=7)


@given(_PAIRS)
def test_both_correlations_are_scipys(pairs):
    pairs_S2 = np.array(pairs, dtype=float)
    measured = correlate(pairs_S2, CONFIDENCE, Draws(100, seed=0))
    if np.ptp(pairs_S2, axis=0).min() == 0:
        assert measured.pearson is None
        return
    x, y = pairs_S2.T
    assert measured.pearson == pytest.approx(stats.pearsonr(x, y).statistic, abs=1e-12)
    assert measured.spearman == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-12)


def test_an_interval_holds_the_estimate_of_a_noisy_relation():
    random = np.random.default_rng(0)
    x = random.standard_normal(24)
    measured = correlate(np.column_stack([x, x + random.standard_normal(24)]), CONFIDENCE, DRAWS)
    for r, (low, high) in (
        (measured.pearson, measured.pearson_interval),
        (measured.spearman, measured.spearman_interval),
    ):
        assert -1 <= low < r < high <= 1


def test_ranks_that_agree_in_every_resample_have_no_interval():
    x = np.arange(12.0)
    measured = correlate(np.column_stack([x, x**3]), CONFIDENCE, DRAWS)
    assert measured.spearman == pytest.approx(1)
    assert measured.spearman_interval is None
    assert measured.pearson_interval[0] < measured.pearson < measured.pearson_interval[1] <= 1


def test_an_interval_is_wider_than_the_resamples_quantiles():
    x = np.arange(12.0)
    pairs_S2 = np.column_stack([x, x + 2 * np.random.default_rng(1).standard_normal(12)])
    resampled = [stats.pearsonr(*pairs.T).statistic for pairs in resample(pairs_S2, DRAWS)]
    low, high = np.quantile(resampled, [0.025, 0.975])
    measured = correlate(pairs_S2, CONFIDENCE, DRAWS)
    assert measured.pearson_interval[0] < low < measured.pearson < high < measured.pearson_interval[1] < 1


def test_few_checkpoints_have_r_but_no_interval():
    measured = correlate(np.random.default_rng(0).standard_normal((MINIMUM - 1, 2)), CONFIDENCE, DRAWS)
    assert measured.pearson is not None
    assert measured.pearson_interval is None


@pytest.fixture
def three_series():
    """Loss and a metric twice, the second time disturbed: shape [12, 2] each."""
    random = np.random.default_rng(3)
    loss = np.linspace(3, 0, 12) + 0.2 * random.standard_normal(12)
    metric = -loss + 0.3 * random.standard_normal(12)
    return np.column_stack([metric, loss]), np.column_stack([metric + random.standard_normal(12), loss])


def test_a_shift_is_the_second_r_less_the_first_over_blocks_that_both_share(three_series):
    first_S2, second_S2 = three_series
    r = [np.corrcoef(pairs.T)[0, 1] for pairs in three_series]
    rows_BS = resample(np.arange(12), DRAWS)
    resampled = [np.corrcoef(second_S2[rows].T)[0, 1] - np.corrcoef(first_S2[rows].T)[0, 1] for rows in rows_BS]
    low, high = np.quantile(resampled, [0.025, 0.975])
    stretch = 1.5**0.5  # three blocks of four
    found, value = shift(first_S2, second_S2, CONFIDENCE, DRAWS), r[1] - r[0]
    expected = (value, value - stretch * (value - low), value + stretch * (high - value))
    assert (found.value, found.low, found.high) == pytest.approx(expected)


def test_a_shift_is_turned_about_by_exchanging_its_sides(three_series):
    one, other = shift(*three_series, CONFIDENCE, DRAWS), shift(*three_series[::-1], CONFIDENCE, DRAWS)
    assert (one.value, one.low, one.high) == pytest.approx((-other.value, -other.high, -other.low))


def test_what_both_series_share_does_not_widen_a_shift(three_series):
    """Resampled apart, two equal series would differ."""
    found = shift(three_series[1], three_series[1], CONFIDENCE, DRAWS)
    assert (found.value, found.low, found.high) == (0, 0, 0)


def test_a_shift_of_few_checkpoints_has_no_interval_and_of_a_constant_none_at_all(three_series):
    first_S2, second_S2 = three_series
    few = shift(first_S2[: MINIMUM - 1], second_S2[: MINIMUM - 1], CONFIDENCE, DRAWS)
    assert few.value is not None
    assert (few.low, few.high) == (None, None)
    constant_S2 = np.column_stack([np.ones(12), first_S2[:, 1]])
    assert (
        shift(constant_S2, second_S2, CONFIDENCE, DRAWS)
        == shift(first_S2, constant_S2, CONFIDENCE, DRAWS)
        == Estimate()
    )
    assert shift(np.empty((0, 2)), np.empty((0, 2)), CONFIDENCE, DRAWS) == Estimate()


def test_what_intervals_are_stretched_by():
    """Three blocks of four: the root of 3/2, times Student's t over the normal quantile."""
    assert widening(12, CONFIDENCE) == pytest.approx(
        4.302653 / 1.959964 * 1.5**0.5, rel=1e-6
    )  # of 2 degrees of freedom
    assert widening_of_r(12, CONFIDENCE) == pytest.approx(2.446912 / 1.959964 * 1.5**0.5, rel=1e-6)  # of 6


@pytest.fixture
def drifting():
    """A metric and the loss that have nothing in common but the step, and the step: shapes [12, 2] and [12]."""
    random = np.random.default_rng(5)
    step = np.log(np.arange(2.0, 14.0))
    return np.column_stack([step, -step]) + 0.1 * random.standard_normal((12, 2)), step


def test_a_partial_correlation_is_that_of_the_residuals_of_two_regressions(drifting):
    pairs_S2, step = drifting
    ordinary = sm.add_constant(step)
    x, y = (sm.OLS(column, ordinary).fit().resid for column in pairs_S2.T)
    expected = stats.pearsonr(x, y).statistic
    assert pearson_given(pairs_S2, step) == pytest.approx(expected)
    assert correlate(pairs_S2, CONFIDENCE, DRAWS).pearson < -0.9


def test_what_follows_the_third_series_has_no_partial_correlation(drifting):
    pairs_S2, step = drifting
    for columns in ([step, pairs_S2[:, 1]], [pairs_S2[:, 0], 2 * step - 1], [np.ones(12), step]):
        assert pearson_given(np.column_stack(columns), step) is None
    assert pearson_given(pairs_S2[:3], step[:3]) is None
