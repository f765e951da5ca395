"""The correlation of two series over the checkpoints of one run, with block-bootstrap intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from nervelab.statistics.blocks import MINIMUM, Draws, interval, resample, widening_of_r, widening_of_shift
from nervelab.statistics.estimate import TINY, Estimate


@dataclass(frozen=True)
class Correlation:
    """Pearson's and Spearman's r over some checkpoints, each with its interval.

    None where it is undefined (a failed run, fewer than three checkpoints, no variation), and for an interval
    where there are too few checkpoints or where it has no width (ranks that agree in every resample).
    """

    checkpoints: int | None = None
    pearson: float | None = None
    pearson_interval: tuple[float, float] | None = None
    spearman: float | None = None
    spearman_interval: tuple[float, float] | None = None


def correlate(pairs_S2: np.ndarray, confidence: float, draws: Draws) -> Correlation:
    """Both correlations of the two columns, with block-bootstrap intervals over the rows."""
    checkpoints = len(pairs_S2)
    r = pearson(pairs_S2)
    if r is None:
        return Correlation(checkpoints=checkpoints or None)
    rho = float(_spearman(pairs_S2))
    if checkpoints < MINIMUM:
        return Correlation(checkpoints=checkpoints, pearson=r, spearman=rho)
    resamples_BS2 = resample(pairs_S2, draws)
    return Correlation(
        checkpoints=checkpoints,
        pearson=r,
        pearson_interval=_widened(r, _pearson(resamples_BS2), checkpoints, confidence),
        spearman=rho,
        spearman_interval=_widened(rho, _spearman(resamples_BS2), checkpoints, confidence),
    )


def pearson(pairs_S2: np.ndarray) -> float | None:
    """Pearson's r of the two columns; None below three rows, or where a column does not vary."""
    if len(pairs_S2) < 3:
        return None
    r = float(_pearson(pairs_S2))
    return None if np.isnan(r) else r


def pearson_given(pairs_S2: np.ndarray, given_S: np.ndarray) -> float | None:
    """Pearson's r of the two columns given a third; None below four rows, or where there is none."""
    if len(pairs_S2) < 4:
        return None
    r = float(_partial(np.column_stack([pairs_S2, given_S])))
    return None if np.isnan(r) else r


def shift(pairs_S2: np.ndarray, others_S2: np.ndarray, confidence: float, draws: Draws) -> Estimate:
    """Pearson's r of the second columns less that of the first, over the same rows, with its block-bootstrap interval.

    Both are resampled together; the percentile interval is stretched for few blocks (`widening_of_shift`).
    """
    first, second = pearson(pairs_S2), pearson(others_S2)
    if first is None or second is None:
        return Estimate()
    difference = second - first
    if len(pairs_S2) < MINIMUM:
        return Estimate(difference)
    both_BS4 = resample(np.column_stack([pairs_S2, others_S2]), draws)
    low, high = interval(_pearson(both_BS4[..., 2:]) - _pearson(both_BS4[..., :2]), confidence)
    stretch = widening_of_shift(len(pairs_S2))
    return Estimate(difference, difference - stretch * (difference - low), difference + stretch * (high - difference))


def _widened(r: float, resampled_B: np.ndarray, checkpoints: int, confidence: float) -> tuple[float, float] | None:
    """The percentile interval, stretched (`widening_of_r`) as Fisher's z: the ends stay within -1 and 1."""
    low, high = interval(resampled_B, confidence)
    if abs(r) == 1 or low == high:
        return None
    with np.errstate(divide="ignore"):  # an end at -1 or 1 stays there
        z, z_low, z_high = np.arctanh([r, low, high])
    stretch = widening_of_r(checkpoints, confidence)
    return float(np.tanh(z - stretch * (z - z_low))), float(np.tanh(z + stretch * (z_high - z)))


def _pearson(pairs_BS2: np.ndarray) -> np.ndarray:
    """Pearson's r of the two columns over axis -2, for any leading axes; NaN where a column does not vary."""
    centred = pairs_BS2 - pairs_BS2.mean(axis=-2, keepdims=True)
    x, y = centred[..., 0], centred[..., 1]
    scale = np.sqrt((x**2).sum(axis=-1) * (y**2).sum(axis=-1))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.clip((x * y).sum(axis=-1) / scale, -1, 1)


def _partial(triples_BS3: np.ndarray) -> np.ndarray:
    """Pearson's r of the first two columns given the third; NaN where a column does not vary, or follows the third."""
    xy, xg, yg = (_pearson(triples_BS3[..., pair]) for pair in ([0, 1], [0, 2], [1, 2]))
    left = np.sqrt((1 - xg**2) * (1 - yg**2))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(left > TINY, np.clip((xy - xg * yg) / left, -1, 1), np.nan)


def _spearman(pairs_BS2: np.ndarray) -> np.ndarray:
    return _pearson(rankdata(pairs_BS2, axis=-2))
