"""Intervals for statistics of one run's checkpoints.

Neighbouring checkpoints are not independent, so they are resampled in blocks that wrap around the end
(circular block bootstrap). Layers are not resampled: they are the layers of this run, not a sample of layers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from arch.bootstrap import CircularBlockBootstrap
from scipy.stats import norm, t

MINIMUM = 8
"""Checkpoints below which no interval is given: fewer than two and a half blocks say nothing about their spread."""

# Points of the lattice on which sums are enumerated: rounding to it moves an end by about 1e-4 of the range at most.
_POINTS = 2**16


@dataclass(frozen=True)
class Draws:
    """How many resamples are drawn, and from which seed."""

    resamples: int
    seed: int


def block_length(checkpoints: int) -> int:
    """Checkpoints in a block: the square root of their number, rounded up.

    Longer than the usual cube root, because a training curve is correlated over a good part of its length;
    not estimated from the series, because lengths estimated from so few points are not stable.
    """
    return math.ceil(math.sqrt(checkpoints))


def resample(values_SK: np.ndarray, draws: Draws) -> np.ndarray:
    """Circular block resamples of rows (checkpoints), shape [B, S, K], by the draws alone."""
    return values_SK[_drawn(len(values_SK), draws)]


@cache
def _drawn(checkpoints: int, draws: Draws) -> np.ndarray:
    """The rows of each resample, shape [B, S]; drawn once, as all series of one length share them."""
    bootstrap = CircularBlockBootstrap(block_length(checkpoints), np.arange(checkpoints), seed=draws.seed)
    return np.stack([positional[0] for positional, _ in bootstrap.bootstrap(draws.resamples)])


def interval(statistics_B: np.ndarray, confidence: float) -> tuple[float, float]:
    """The percentile interval of resampled statistics at the level `confidence`.

    Undefined ones (a correlation of a resample that is constant) are left out.
    """
    tail = (1 - confidence) / 2
    low, high = np.nanquantile(statistics_B, [tail, 1 - tail])
    return float(low), float(high)


def widening(checkpoints: int, confidence: float) -> float:
    """By how much the interval of a mean is stretched about its estimate for resting on few blocks.

    sqrt(b / (b - 1)), which undoes the bias of the block variance, times Student's t with b - 1 degrees of freedom
    over the normal quantile, where b is the number of blocks that fit into the series.
    """
    blocks = checkpoints / block_length(checkpoints)
    return _stretch(blocks, blocks - 1, confidence)


def widening_of_r(checkpoints: int, confidence: float) -> float:
    """By how much the interval of a correlation is stretched: as `widening`, by t of half as many degrees as rows.

    Resamples of a correlation scatter widely as it is. Found by trial: with b - 1 degrees of freedom a 95 % interval
    holds the true value in 99 % of series that are as correlated as checkpoints, with half as many as there are rows in
    92 to 97 % (`nervelab.statistics.coverage`).
    """
    return _stretch(checkpoints / block_length(checkpoints), checkpoints / 2, confidence)


def widening_of_shift(checkpoints: int) -> float:
    """By how much the interval of a difference of two correlations is stretched: for the bias of the variance alone.

    Found by trial, as `widening_of_r`: with any t instead of the normal quantile it holds too often.
    """
    blocks = checkpoints / block_length(checkpoints)
    return math.sqrt(blocks / (blocks - 1))


def _stretch(groups: float, freedom: float, confidence: float) -> float:
    level = (1 + confidence) / 2
    return math.sqrt(groups / (groups - 1)) * float(t.ppf(level, freedom) / norm.ppf(level))


def mean_interval(values_S: np.ndarray, confidence: float) -> tuple[float, float] | None:
    """The interval of the mean over checkpoints; None below `MINIMUM` checkpoints.

    The percentile interval of all circular block resamples, widened about the mean (`widening`). Nothing is drawn:
    the verdict that rests on it depends on no seed.
    """
    if len(values_S) < MINIMUM:
        return None
    mean = float(values_S.mean())
    means_M, shares_M = resampled_means(values_S)
    tail = (1 - confidence) / 2
    low = means_M[np.searchsorted(np.cumsum(shares_M), tail)]
    high = means_M[::-1][np.searchsorted(np.cumsum(shares_M[::-1]), tail)]
    stretch = widening(len(values_S), confidence)
    return mean - stretch * (mean - float(low)), mean + stretch * (float(high) - mean)


def resampled_means(values_S: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean's distribution over all circular block resamples: ascending means and their shares.

    A resampled sum is the sum of independent block sums, each of which takes one of S values with equal chance, so
    its distribution is their convolution, here on a lattice of `_POINTS`. The last block is cut to fit.
    """
    checkpoints, length = len(values_S), block_length(len(values_S))
    lengths = [min(length, checkpoints - start) for start in range(0, checkpoints, length)]
    wrapped = np.concatenate([values_S, values_S])
    windows = {size: np.lib.stride_tricks.sliding_window_view(wrapped, size)[:checkpoints] for size in set(lengths)}
    sums = [windows[size].sum(axis=1) for size in lengths]
    low = sum(sum_S.min() for sum_S in sums)
    # Rounding up in every block must not carry the largest sum past the last point.
    cell = (sum(sum_S.max() for sum_S in sums) - low) / (_POINTS - len(sums) - 1)
    if cell == 0:
        return values_S[:1], np.ones(1)
    transformed = np.ones(_POINTS // 2 + 1, dtype=complex)
    for sum_S in sums:
        cells_S = np.rint((sum_S - sum_S.min()) / cell).astype(int)
        transformed *= np.fft.rfft(np.bincount(cells_S, minlength=_POINTS) / checkpoints)
    shares_M = np.fft.irfft(transformed, _POINTS).clip(0)
    return (low + cell * np.arange(_POINTS)) / checkpoints, shares_M
