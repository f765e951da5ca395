"""The spread within groups, each group's own and what the others say of it, and intervals by it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.optimize import brentq
from scipy.special import digamma, polygamma
from scipy.stats import t

FEWEST = 3
"""Groups below which nothing is said of how their spreads differ."""
WEAKEST = 1.0
"""The least freedom of a prior: a weaker one, which a few groups suggest by chance, decides nothing."""
STRONGEST = 4.0
"""The most that a prior counts for: a handful of groups on three seeds does not tell spreads that are alike from
spreads that are not, and the noisiest group would be given the spread of all."""


@dataclass(frozen=True)
class Spread:
    """A standard deviation, and how well it is known.

    Attributes:
        deviation: the standard deviation.
        freedom: its degrees of freedom.
        groups: how many groups of two members or more it rests on.
    """

    deviation: float
    freedom: float
    groups: int

    def half_width(self, variance_share: float, confidence: float) -> float:
        """Half the width of an interval: Student's t times the deviation times the root of `variance_share`."""
        return float(t.ppf((1 + confidence) / 2, self.freedom)) * self.deviation * math.sqrt(variance_share)

    def of_mean(self, members: int) -> Spread:
        """The spread of the mean of so many members."""
        return replace(self, deviation=self.deviation / math.sqrt(members))

    def less(self, other: Spread, most: float = math.inf) -> Spread:
        """The spread of the difference of two independent numbers: variances add up.

        Its degrees of freedom are those of Satterthwaite (1946), and no more than `most`.
        """
        one, two = self.deviation**2, other.deviation**2
        if one + two == 0:
            return replace(self, deviation=0.0)
        own = (one + two) ** 2 / (one**2 / self.freedom + two**2 / other.freedom)
        return Spread(math.sqrt(one + two), min(own, most), max(self.groups, other.groups))


@dataclass(frozen=True)
class Prior:
    """What the spreads of several groups say of the spread of any group: a scaled inverse chi-square distribution.

    That is, 1 / variance is distributed as chi-square with `freedom` degrees of freedom over `freedom` times
    `variance` (Smyth 2004, Linear models and empirical Bayes methods, section 6.2, where it is fitted by the moments of
    the logarithms of variances), here with a freedom from `WEAKEST` to `STRONGEST`.

    Attributes:
        variance: its centre.
        freedom: how strongly it holds.
        all_freedom: the degrees of freedom of all groups: no spread made with it has more.
        groups: how many groups of two members or more it rests on.
        pooled: the variance within all groups together.
    """

    variance: float
    freedom: float
    all_freedom: float
    groups: int
    pooled: float = field(default=math.nan, compare=False)

    @property
    def alone(self) -> Spread:
        """The spread of a group of which nothing is known but its kind."""
        return self.of(np.empty(0))

    def of(self, values: np.ndarray) -> Spread:
        """The spread of a group, of its own values and what the prior says; of one value or none the prior's alone."""
        own = max(len(values) - 1, 0)
        squares = float(((values - values.mean()) ** 2).sum()) if own else 0.0
        variance = (self.freedom * self.variance + squares) / (self.freedom + own)
        return Spread(math.sqrt(variance), min(self.freedom + own, self.all_freedom), self.groups)


def prior(groups: Sequence[np.ndarray], all_freedom: int | None = None) -> Prior | None:
    """What groups of values say of the spread within any group of their kind; a group of one says nothing.

    Below `FEWEST` groups nothing is known of how spreads differ: the pooled one is the centre, as strong as any.

    Args:
        groups: the values of each group.
        all_freedom: the degrees of freedom of all of them, where they share values; by default, members less groups.

    Returns:
        None where no group has two values.
    """
    several = [values for values in groups if len(values) > 1]
    own_G = np.array([len(values) - 1 for values in several], dtype=float)
    squares_G = np.array([((values - values.mean()) ** 2).sum() for values in several])
    if not several:
        return None
    freedom = int(own_G.sum()) if all_freedom is None else all_freedom
    pooled = float(squares_G.sum() / own_G.sum())
    varying = squares_G > 0
    if varying.sum() < FEWEST:
        return Prior(pooled, STRONGEST, freedom, len(several), pooled)
    own_V = own_G[varying]
    # The logarithm of a variance of n degrees of freedom has mean digamma(n/2) - log(n/2) and variance trigamma(n/2).
    logs_V = np.log(squares_G[varying] / own_V) - digamma(own_V / 2) + np.log(own_V / 2)
    excess = logs_V.var(ddof=1) - polygamma(1, own_V / 2).mean()
    if excess <= 0:  # they differ no more than by chance
        return Prior(pooled, STRONGEST, freedom, len(several), pooled)
    fitted = max(2 * _inverse_trigamma(float(excess)), WEAKEST)
    centre = math.exp(logs_V.mean() + digamma(fitted / 2) - math.log(fitted / 2))
    return Prior(centre, min(fitted, STRONGEST), freedom, len(several), pooled)


def _inverse_trigamma(value: float) -> float:
    """The positive x of which trigamma is `value`; it lies between 1/x and 1/x + 1/x^2."""
    return float(brentq(lambda x: polygamma(1, x) - value, 0.5 / value, 2 / value + 2 / math.sqrt(value)))
