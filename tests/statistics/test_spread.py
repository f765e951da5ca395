"""Spreads of groups and what they say of one another, against statsmodels, scipy and formulas written out."""

import math

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import trapezoid
from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

from nervelab.statistics.spread import STRONGEST, WEAKEST, Prior, Spread, _inverse_trigamma, prior

_GROUPS = [np.array(each) for each in ([1.0, 1.2, 1.1], [5.0, 5.02], [3.0, 3.5, 2.8, 3.3], [0.0])]


def drawn(groups: int, members: int, freedom: float, variance: float = 1.0, seed: int = 0) -> list[np.ndarray]:
    """Groups whose variances are `freedom * variance` over chi-square."""
    random = np.random.default_rng(seed)
    deviation_G1 = np.sqrt(freedom * variance / random.chisquare(freedom, groups))[:, None]
    return list(deviation_G1 * random.standard_normal((groups, members)))


@pytest.mark.parametrize("freedom", [3.0, 8.0])
def test_a_prior_is_found_again_of_many_groups(freedom):
    known = prior(drawn(40_000, 4, freedom, variance=0.25))
    assert known.freedom == pytest.approx(min(freedom, STRONGEST), rel=0.05)
    assert known.variance == pytest.approx(0.25, rel=0.03)
    assert (known.all_freedom, known.groups) == (120_000, 40_000)


def test_of_groups_alike_the_pooled_variance_is_the_priors():
    random = np.random.default_rng(1)
    found = [prior(list(random.standard_normal((6, 3)))) for _ in range(50)]
    assert max(each.freedom for each in found) == STRONGEST
    group = random.standard_normal((6, 3))
    group *= np.sqrt(np.arange(6) % 2 + 1)[:, None] / group.std(axis=1, ddof=1)[:, None]  # less apart than by chance
    known = prior(list(group))
    assert known == Prior(pytest.approx(1.5), STRONGEST, 12, 6)
    own = ((group[0] - group[0].mean()) ** 2).sum()
    assert known.of(group[0]) == Spread(pytest.approx(math.sqrt((STRONGEST * 1.5 + own) / (STRONGEST + 2))), 6, 6)
    assert known.alone == Spread(pytest.approx(math.sqrt(1.5)), STRONGEST, 6)


def test_the_moments_are_those_of_the_logarithm_of_chi_square():
    """Smyth (2004), section 6.2: by numerical integration, and solved for by bisection."""
    groups = drawn(5, 3, 2.0, seed=3)
    logs = np.log([each.var(ddof=1) for each in groups])

    def of_log(freedom: float, power: int, about: float = 0.0) -> float:
        u = np.linspace(-60, 9, 20_001)
        return trapezoid((u - math.log(freedom) - about) ** power * stats.chi2(freedom).pdf(np.exp(u)) * np.exp(u), u)

    mean = of_log(2, 1)
    excess = logs.var(ddof=1) - of_log(2, 2, mean)
    low, high = 0.3, 100.0
    for _ in range(60):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if of_log(middle, 2, of_log(middle, 1)) > excess else (low, middle)
    known = prior(groups)
    assert excess > 0
    assert known.freedom == pytest.approx(low, rel=1e-4)
    assert math.log(known.variance) == pytest.approx(logs.mean() - mean + of_log(low, 1), abs=1e-4)


def test_a_group_counts_its_own_members_beside_the_prior():
    known = Prior(0.04, 3.0, 20, 6)
    values = np.array([1.0, 1.4, 1.1, 1.5])
    squares = ((values - 1.25) ** 2).sum()
    assert known.of(values) == Spread(pytest.approx(math.sqrt((3 * 0.04 + squares) / 6)), 6.0, 6)
    assert known.of(values[:1]) == known.alone == Spread(0.2, 3.0, 6)
    assert Prior(0.04, 19.0, 20, 6).of(values).freedom == 20


def test_few_groups_share_the_pooled_variance():
    known = prior(_GROUPS[:2])
    squares = 0.02 + 0.0002
    assert known == Prior(pytest.approx(squares / 3), STRONGEST, 3, 2)


def test_a_group_of_one_says_nothing():
    assert prior(_GROUPS) == prior(_GROUPS[:3])
    assert prior([_GROUPS[3]]) is None
    assert prior([]) is None
    assert prior([np.ones(3), np.zeros(2)]) == Prior(0.0, STRONGEST, 3, 2)  # nothing varies


def test_a_group_that_does_not_vary_has_the_priors_spread_and_no_part_in_it_but_the_count():
    known = prior([*_GROUPS[:3], np.ones(3)])
    without = prior(_GROUPS[:3])
    assert (known.variance, known.freedom) == (without.variance, without.freedom)
    assert known.groups == 4
    assert 0 < known.of(np.ones(3)).deviation < known.alone.deviation


def test_a_prior_of_a_few_groups_is_no_weaker_than_the_weakest():
    wide = [scale * np.array([-1.0, 0.3, 1.0]) for scale in (1e-6, 1e-3, 1.0, 1e3)]
    assert prior(wide).freedom == WEAKEST


@pytest.mark.parametrize("x", [0.05, 0.5, 1.0, 7.0, 300.0])
def test_trigamma_is_inverted(x):
    series = sum(1 / (x + k) ** 2 for k in range(200_000)) + 1 / (x + 200_000)
    assert _inverse_trigamma(series) == pytest.approx(x, rel=1e-3)


@pytest.mark.parametrize("sizes", [(3, 3), (3, 5)])
def test_a_difference_is_welchs(sizes):
    random = np.random.default_rng(2)
    one, two = (scale * random.standard_normal(size) for scale, size in zip((1, 4), sizes, strict=True))
    expected = CompareMeans(DescrStatsW(one), DescrStatsW(two)).tconfint_diff(usevar="unequal")
    sides = [Spread(each.std(ddof=1), len(each) - 1, 1).of_mean(len(each)) for each in (one, two)]
    half = sides[0].less(sides[1]).half_width(1, 0.95)
    centre = one.mean() - two.mean()
    assert (centre - half, centre + half) == pytest.approx(expected)
    assert half > sides[0].less(sides[1], 100).deviation * 1.96
    assert sides[0].less(sides[1], 1.5).freedom == 1.5


def test_a_difference_of_what_does_not_vary_has_no_width():
    none = Spread(0.0, 4, 2)
    assert none.less(none).half_width(1, 0.95) == 0


def test_half_a_width_by_the_printed_table_of_t():
    assert Spread(0.01, 18, 9).half_width(2 / 3, 0.95) == pytest.approx(2.101 * 0.01 * math.sqrt(2 / 3), rel=1e-4)
