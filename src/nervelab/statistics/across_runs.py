"""Statistics over separate trainings: a correlation with its interval, the mean of several, a slope."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.stats import binomtest, linregress, norm, pearsonr, spearmanr, t

from nervelab.statistics.estimate import TINY, Estimate

FIELLER = 1.06
"""Variance of Fisher's z of Spearman's r, times n - 3 (Fieller, Hartley and Pearson 1957)."""


def pearson_of(x: Sequence[float], y: Sequence[float], confidence: float) -> Estimate:
    """Pearson's r with Fisher's interval; undefined below four pairs, or where a side is constant or not finite."""
    return _interval(pearsonr, x, y, 1.0, confidence)


def spearman_of(x: Sequence[float], y: Sequence[float], confidence: float) -> Estimate:
    """Spearman's r with Fieller's interval; undefined below four pairs, or where one side does not vary."""
    return _interval(spearmanr, x, y, FIELLER, confidence)


def difference_of(x: Sequence[float], other: Sequence[float], y: Sequence[float], confidence: float) -> Estimate:
    """Pearson's r of `x` with `y` less that of `other` with the same `y`, with Zou's interval.

    Zou (2007), Toward using confidence intervals to compare correlations, equation 15: from Fisher's interval of each
    and from the correlation of the two, which are had from the same trainings.
    """
    first, second, both = (pearson_of(*pair, confidence) for pair in ((x, y), (other, y), (x, other)))
    if None in (first.value, second.value, both.value):
        return Estimate()
    r, s, q = first.value, second.value, both.value
    difference = r - s
    if max(abs(r), abs(s)) > 1 - TINY:  # of which Fisher's interval has no width
        return Estimate(difference)
    alike = ((q - r * s / 2) * (1 - r**2 - s**2 - q**2) + q**3) / ((1 - r**2) * (1 - s**2))
    below, above = ((r - first.low, second.high - s), (first.high - r, s - second.low))
    low, high = (math.sqrt(max(a**2 + b**2 - 2 * alike * a * b, 0.0)) for a, b in (below, above))
    return Estimate(difference, difference - low, difference + high)


def share_of(count: int, total: int, confidence: float) -> Estimate:
    """A share with the interval of Clopper and Pearson; undefined of nothing."""
    if total == 0:
        return Estimate()
    ends = binomtest(count, total).proportion_ci(confidence, method="exact")
    return Estimate(count / total, float(ends.low), float(ends.high))


def mean_correlation(correlations: Sequence[float], confidence: float) -> Estimate:
    """The mean of the correlations of several runs, as Fisher's z, with the t interval over those runs."""
    z = np.arctanh(correlations)
    if len(z) < 2 or not np.isfinite(z).all():
        return Estimate()
    half = t.ppf((1 + confidence) / 2, len(z) - 1) * z.std(ddof=1) / math.sqrt(len(z))
    return Estimate(*(float(np.tanh(end)) for end in (z.mean(), z.mean() - half, z.mean() + half)))


def mean_of(values: Sequence[float], confidence: float) -> Estimate:
    """The mean over several runs with its t interval."""
    values = np.asarray(values, dtype=float)
    if len(values) < 2 or not np.isfinite(values).all():
        return Estimate()
    half = t.ppf((1 + confidence) / 2, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values))
    return Estimate(float(values.mean()), float(values.mean() - half), float(values.mean() + half))


def slope(x: Sequence[float], y: Sequence[float | None], confidence: float) -> Estimate:
    """The slope of ln y over ln x by least squares, with its t interval."""
    if len(x) < 3 or any(value is None for value in y):
        return Estimate()
    fit = linregress(np.log(x), np.log(y))
    half = t.ppf((1 + confidence) / 2, len(x) - 2) * fit.stderr
    return Estimate(float(fit.slope), float(fit.slope - half), float(fit.slope + half))


def _interval(correlation, x: Sequence[float], y: Sequence[float], variance: float, confidence: float) -> Estimate:
    if len(x) < 4 or not np.isfinite([x, y]).all() or np.ptp(x) == 0 or np.ptp(y) == 0:
        return Estimate()
    r = float(np.clip(correlation(x, y).statistic, -1, 1))
    if math.isnan(r):  # squares of huge numbers
        return Estimate()
    if abs(r) == 1:  # Fisher's z is infinite: the interval has no width
        return Estimate(r, r, r)
    half = norm.ppf((1 + confidence) / 2) * math.sqrt(variance / (len(x) - 3))
    return Estimate(r, math.tanh(math.atanh(r) - half), math.tanh(math.atanh(r) + half))
