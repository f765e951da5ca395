"""Which checkpoints of a run count, and what they give (NerVE, section 3.5).

The paper does not say which checkpoints it takes. Participation ratio starts high on random embeddings,
collapses and grows again, so the first checkpoints can turn a sign; checkpoints therefore count from a share of
the training steps on, one share for all runs, and the whole run is shown beside it.
"""

from __future__ import annotations

import numpy as np

from nervelab.aggregates.run import Run
from nervelab.statistics.within_run import pearson, pearson_given


def window_start_step(run: Run) -> float:
    """The first step that belongs to the window."""
    return run.window_start * run.row["steps"]


def window_mean(run: Run, metric: str) -> np.ndarray:
    """A metric layer by layer, averaged over the window's checkpoints, shape [L]."""
    grid = run.grid(metric)
    return grid.values_SL[grid.steps_S >= window_start_step(run)].mean(axis=0)


def window_mean_ratio(run: Run, metric: str) -> np.ndarray:
    """A metric that is a ratio, layer by layer, averaged over the window's checkpoints geometrically, shape [L]."""
    grid = run.grid(metric)
    return mean_ratio(grid.values_SL[grid.steps_S >= window_start_step(run)])


def mean_ratio(ratios: np.ndarray) -> np.ndarray:
    """The geometric mean over the first axis; not finite where a ratio is not positive."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.exp(np.log(ratios).mean(axis=0))


def final(run: Run, metric: str) -> np.ndarray:
    """A metric layer by layer at the last measured step, shape [L]."""
    return run.grid(metric).values_SL[-1]


def pairs_with_eval_loss(run: Run, metric: str, *, whole: bool) -> np.ndarray:
    """The mean over layers of `metric` and the eval loss at the same step, shape [S, 2].

    Args:
        run: the training; of a failed one nothing is taken, its spectra are not those of a trained network.
        metric: a column of spectra.parquet.
        whole: take every measured step instead of those from the window's start on.
    """
    if run.failed:
        return np.empty((0, 2))
    grid = run.grid(metric)
    pairs_S2 = np.column_stack([grid.values_SL.mean(axis=1), run.eval_loss_at(grid.steps_S)])
    start = 0 if whole else window_start_step(run)
    return pairs_S2[(grid.steps_S >= start) & np.isfinite(pairs_S2).all(axis=1)]


def given_log_step(run: Run, metric: str) -> float | None:
    """Pearson's r of a layer-mean metric and the eval loss given the logarithm of the step, over the window.

    None where a checkpoint lacks one of them.
    """
    steps_S, pairs_S2 = _whole_window(run, metric)
    later_S = steps_S > 0
    return pearson_given(pairs_S2[later_S], np.log(steps_S[later_S]))


def of_changes(run: Run, metric: str) -> float | None:
    """Pearson's r of the changes of a layer-mean metric and of the eval loss between the window's checkpoints.

    None where a checkpoint lacks one of them.
    """
    return pearson(np.diff(_whole_window(run, metric)[1], axis=0))


def _whole_window(run: Run, metric: str) -> tuple[np.ndarray, np.ndarray]:
    """The window's steps, and its `pairs_with_eval_loss`; of neither any where a checkpoint lacks one of a pair."""
    pairs_S2, steps_S = pairs_with_eval_loss(run, metric, whole=False), run.grid(metric).steps_S
    steps_S = steps_S[steps_S >= window_start_step(run)]
    return (steps_S, pairs_S2) if len(steps_S) == len(pairs_S2) else (steps_S[:0], pairs_S2[:0])


def final_pairs(runs: tuple[Run, ...], metric: str) -> tuple[list[float], list[float]]:
    """The layer-mean of a metric after training, and the final eval loss, run by run."""
    return [float(final(run, metric).mean()) for run in runs], [run.row["eval_loss"] for run in runs]


def pearson_over_checkpoints(run: Run, metric: str) -> float | None:
    """Pearson's r of a layer-mean metric against the eval loss over the window's checkpoints."""
    return pearson(pairs_with_eval_loss(run, metric, whole=False))
