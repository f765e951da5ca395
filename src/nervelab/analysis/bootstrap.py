"""Intervals for statistics of one run's checkpoints.

Neighbouring checkpoints are not independent, so they are resampled in blocks that wrap around the end
(circular block bootstrap). Layers are not resampled: they are the layers of this run, not a sample of layers.
"""

from __future__ import annotations

import math

import numpy as np
from arch.bootstrap import CircularBlockBootstrap
from scipy.stats import norm, t

from nervelab.study.decisions import Analysis

MINIMUM = 8
"""Checkpoints below which no interval is given: fewer than three blocks say nothing about their spread."""


def block_length(checkpoints: int) -> int:
    """Checkpoints in a block: the square root of their number, rounded up.

    Longer than the usual cube root, because a training curve is correlated over a good part of its length;
    fixed in advance, because lengths estimated from so few points are not stable.
    """
    return math.ceil(math.sqrt(checkpoints))


def resample(values_SK: np.ndarray, settings: Analysis) -> np.ndarray:
    """Circular block resamples of rows (checkpoints), shape [bootstrap, S, K], by the settings alone."""
    bootstrap = CircularBlockBootstrap(block_length(len(values_SK)), values_SK, seed=settings.seed)
    return np.stack([positional[0] for positional, _ in bootstrap.bootstrap(settings.bootstrap)])


def interval(statistics_B: np.ndarray, settings: Analysis) -> tuple[float, float]:
    """The percentile interval of resampled statistics at the level `confidence`.

    Undefined ones (a correlation of a resample that is constant) are left out.
    """
    tail = (1 - settings.confidence) / 2
    low, high = np.nanquantile(statistics_B, [tail, 1 - tail])
    return float(low), float(high)


def mean_interval(values_S: np.ndarray, settings: Analysis) -> tuple[float, float] | None:
    """The interval of the mean over checkpoints; None below `MINIMUM` checkpoints.

    The percentile interval, widened about the mean for resting on few blocks: by sqrt(b / (b - 1)), which
    undoes the bias of the block variance, and by Student's t with b - 1 degrees of freedom over the normal
    quantile, where b is the number of blocks that fit into the series.
    """
    if len(values_S) < MINIMUM:
        return None
    mean = float(values_S.mean())
    low, high = interval(resample(values_S[:, None], settings).mean(axis=(1, 2)), settings)
    blocks = len(values_S) / block_length(len(values_S))
    level = (1 + settings.confidence) / 2
    widening = math.sqrt(blocks / (blocks - 1)) * t.ppf(level, blocks - 1) / norm.ppf(level)
    return mean - widening * (mean - low), mean + widening * (high - mean)
