"""Intervals where what is counted comes in clusters: configurations of one architecture are no independent ones.

Whole clusters are resampled. A resample is held as how often each row is in it, so that all of them are computed at
once: a row that is drawn twice counts twice.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from scipy.stats import norm, t

from nervelab.statistics.blocks import Draws, interval
from nervelab.statistics.estimate import TINY, Estimate

FEWEST = 5
"""Clusters below which no interval is given."""

Statistic = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Of rows, shape [N, K], and how often each counts in every resample, shape [B, N]: shape [B], NaN where undefined."""


def over_clusters(
    clusters: Sequence[np.ndarray],
    statistic: Statistic,
    confidence: float,
    draws: Draws,
) -> Estimate:
    """A correlation over the rows of all clusters, its interval by resampling whole clusters.

    The percentile interval as Fisher's z, stretched about the estimate for few clusters: by sqrt(C / (C - 1)), which
    undoes the bias of the variance over clusters, times Student's t with C - 1 degrees of freedom over the normal
    quantile.

    Args:
        clusters: the rows of each cluster, shape [n, K].
        statistic: `spearman`, `partial_spearman` or another one between -1 and 1.
        confidence: the level of the interval.
        draws: how many resamples are drawn, and from which seed.
    """
    if not clusters:
        return Estimate()
    rows_NK = np.concatenate(clusters)
    value = float(statistic(rows_NK, np.ones((1, len(rows_NK))))[0])
    if math.isnan(value):
        return Estimate()
    few = len(clusters)
    if few < FEWEST:
        return Estimate(value)
    if 1 - abs(value) < TINY:  # and so in every resample: the interval has no width
        return Estimate(value, value, value)
    drawn_BC = np.random.default_rng(draws.seed).integers(few, size=(draws.resamples, few))
    counts_BC = (drawn_BC[:, :, None] == np.arange(few)).sum(axis=1)
    counts_BN = np.repeat(counts_BC, [len(each) for each in clusters], axis=1)
    resampled_B = statistic(rows_NK, counts_BN.astype(float))
    with np.errstate(divide="ignore"):  # an end at -1 or 1 stays there
        z, z_low, z_high = np.arctanh([value, *interval(resampled_B, confidence)])
    level = (1 + confidence) / 2
    stretch = math.sqrt(few / (few - 1)) * float(t.ppf(level, few - 1) / norm.ppf(level))
    return Estimate(value, float(np.tanh(z - stretch * (z - z_low))), float(np.tanh(z + stretch * (z_high - z))))


def spearman(rows_N2: np.ndarray, counts_BN: np.ndarray) -> np.ndarray:
    """Spearman's r of the two columns in every resample."""
    x, y = _ranks(rows_N2, counts_BN)
    return _correlation(x, y, counts_BN)


def partial_spearman(rows_N3: np.ndarray, counts_BN: np.ndarray) -> np.ndarray:
    """Spearman's r of the first two columns given the third in every resample."""
    x, y, given = _ranks(rows_N3, counts_BN)
    xy, xg, yg = (_correlation(*pair, counts_BN) for pair in ((x, y), (x, given), (y, given)))
    left_B = np.sqrt((1 - xg**2) * (1 - yg**2))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(left_B > TINY, np.clip((xy - xg * yg) / left_B, -1, 1), np.nan)


def _ranks(rows_NK: np.ndarray, counts_BN: np.ndarray) -> list[np.ndarray]:
    """The ranks of each column in every resample, ties at their mean, shape [B, N] each."""
    ranked = []
    for column_N in rows_NK.T:
        values_U, place_N = np.unique(column_N, return_inverse=True)
        tied_NU = (place_N[:, None] == np.arange(len(values_U))).astype(float)
        counts_BU = counts_BN @ tied_NU
        ranked.append((counts_BU.cumsum(axis=1) - (counts_BU - 1) / 2)[:, place_N])
    return ranked


def _correlation(x_BN: np.ndarray, y_BN: np.ndarray, counts_BN: np.ndarray) -> np.ndarray:
    """Pearson's r, each row as often as it counts; NaN where a side does not vary."""
    total_B1 = counts_BN.sum(axis=1, keepdims=True)
    x_BN = x_BN - (counts_BN * x_BN).sum(axis=1, keepdims=True) / total_B1
    y_BN = y_BN - (counts_BN * y_BN).sum(axis=1, keepdims=True) / total_B1
    scale_B = np.sqrt((counts_BN * x_BN**2).sum(axis=1) * (counts_BN * y_BN**2).sum(axis=1))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.clip(np.where(scale_B > 0, (counts_BN * x_BN * y_BN).sum(axis=1) / scale_B, np.nan), -1, 1)
