"""Correlation of a layer-mean metric with eval loss over one run's checkpoints (NerVE, section 3.5).

The paper does not say which checkpoints it takes. Participation ratio starts high on random embeddings,
collapses and grows again, so the first checkpoints can turn a sign; the window is therefore fixed in advance,
by a share of the training steps, and the whole run is shown beside it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from nervelab.analysis.aggregates import Run
from nervelab.analysis.bootstrap import MINIMUM, interval, resample
from nervelab.study.decisions import Analysis


@dataclass(frozen=True)
class Correlation:
    """Pearson's and Spearman's r over some checkpoints, each with its interval.

    None where it is undefined (a failed run, fewer than three checkpoints, no variation) or where there are
    too few checkpoints for an interval.
    """

    checkpoints: int | None = None
    pearson: float | None = None
    pearson_interval: tuple[float, float] | None = None
    spearman: float | None = None
    spearman_interval: tuple[float, float] | None = None


def window_start_step(run: Run, settings: Analysis) -> float:
    """The first step that belongs to the window."""
    return settings.window_start * run.row["steps"]


def with_eval_loss(run: Run, metric: str, settings: Analysis, *, whole: bool) -> Correlation:
    """Correlate the mean over layers of `metric` with eval loss at the same step.

    Args:
        run: the training; of a failed one nothing is taken, its spectra are not those of a trained network.
        metric: a column of spectra.parquet.
        settings: the window, and how intervals are drawn.
        whole: take every measured step instead of those from the window's start on.
    """
    if run.failed:
        return Correlation()
    grid = run.grid(metric)
    pairs_S2 = np.column_stack([grid.values_SL.mean(axis=1), run.eval_loss_at(grid.steps_S)])
    start = 0 if whole else window_start_step(run, settings)
    pairs_S2 = pairs_S2[(grid.steps_S >= start) & np.isfinite(pairs_S2).all(axis=1)]
    if len(pairs_S2) < 3:
        return Correlation(checkpoints=len(pairs_S2))
    return correlate(pairs_S2, settings)


def correlate(pairs_S2: np.ndarray, settings: Analysis) -> Correlation:
    """Both correlations of the two columns, with block-bootstrap intervals over the rows."""
    pearson, spearman = _pearson(pairs_S2), _spearman(pairs_S2)
    if np.isnan(pearson):
        return Correlation(checkpoints=len(pairs_S2))
    pearson_interval = spearman_interval = None
    if len(pairs_S2) >= MINIMUM:
        resamples_BS2 = resample(pairs_S2, settings)
        pearson_interval = interval(_pearson(resamples_BS2), settings)
        spearman_interval = interval(_spearman(resamples_BS2), settings)
    return Correlation(
        checkpoints=len(pairs_S2),
        pearson=float(pearson),
        pearson_interval=pearson_interval,
        spearman=float(spearman),
        spearman_interval=spearman_interval,
    )


def _pearson(pairs_BS2: np.ndarray) -> np.ndarray:
    """Pearson's r of the two columns over axis -2, for any leading axes; NaN where a column does not vary."""
    centred = pairs_BS2 - pairs_BS2.mean(axis=-2, keepdims=True)
    x, y = centred[..., 0], centred[..., 1]
    scale = np.sqrt((x**2).sum(axis=-1) * (y**2).sum(axis=-1))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.clip((x * y).sum(axis=-1) / scale, -1, 1)


def _spearman(pairs_BS2: np.ndarray) -> np.ndarray:
    return _pearson(rankdata(pairs_BS2, axis=-2))
