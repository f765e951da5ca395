"""Statistics over separate trainings: a correlation with its interval, the mean of several, a slope."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.stats import linregress, norm, pearsonr, spearmanr, t

from nervelab.statistics.estimate import Estimate

FIELLER = 1.06
"""Variance of Fisher's z of Spearman's r, times n - 3 (Fieller, Hartley and Pearson 1957)."""


def pearson_of(x: Sequence[float], y: Sequence[float], confidence: float) -> Estimate:
    """Pearson's r with Fisher's interval; undefined below four pairs, or where a side is constant or not finite."""
    return _interval(pearsonr, x, y, 1.0, confidence)


def spearman_of(x: Sequence[float], y: Sequence[float], confidence: float) -> Estimate:
    """Spearman's r with Fieller's interval; undefined below four pairs, or where one side does not vary."""
    return _interval(spearmanr, x, y, FIELLER, confidence)


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
