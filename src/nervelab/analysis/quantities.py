"""What is compared between runs: one number a run, each a function of what was measured in it.

`tables/quantities.csv` holds all of them for all runs, so that every comparison can be made again by hand.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nervelab.aggregates.find import Aggregates
from nervelab.aggregates.run import Run
from nervelab.aggregates.window import final, window_mean
from nervelab.words.metrics import SPECTRAL

SETTLED = 0.05
"""The share of its final value within which a metric counts as settled (NerVE, section 3.1, read as a number)."""


@dataclass(frozen=True)
class Quantity:
    """A number that a run has.

    Attributes:
        id: its column in tables/quantities.csv.
        name: what it is, in words.
        unit: empty for a number without a unit.
        value: takes a finished, measured run; None or not finite where the run has no such number.
        by_ratio: whether runs are compared by ratios (its logarithm is averaged) instead of by differences.
    """

    id: str
    name: str
    unit: str
    value: Callable[[Run], float | None]
    by_ratio: bool = False

    def of(self, run: Run) -> float | None:
        """The number, or None: a failed run has none, its spectra are not those of a trained network."""
        if run.failed or run.spectra.is_empty():
            return None
        value = self.value(run)
        usable = value is not None and math.isfinite(value) and (value > 0 or not self.by_ratio)
        return float(value) if usable else None


def third(layers: int) -> int:
    """The number of layers in a third of the depth, rounded up."""
    return math.ceil(layers / 3)


def effect(run: Run, metric: str) -> np.ndarray:
    """What the nonlinearity does to a metric layer by layer, averaged over the window's checkpoints, shape [L].

    post - pre for "se" and "eee"; the gain post / pre for "pr", whose size differs from model to model.
    """
    if metric == "pr":
        return window_mean(run, "pr_gain")
    return window_mean(run, f"{metric}_post") - window_mean(run, f"{metric}_pre")


def settling_step(run: Run) -> float:
    """The first measured step from which on SE_post, averaged over layers, stays within `SETTLED` of its last value.

    NaN where a cell was not measured.
    """
    grid = run.grid("se_post")
    mean_S = grid.values_SL.mean(axis=1)
    if not np.isfinite(mean_S).all():
        return math.nan
    away = np.flatnonzero(np.abs(mean_S - mean_S[-1]) > SETTLED * mean_S[-1])
    return float(grid.steps_S[away[-1] + 1 if away.size else 0])


def _peak_over_median(run: Run) -> float:
    js_L = window_mean(run, "js")
    return float(js_L.max() / np.median(js_L))


def _first_two_over_rest(run: Run) -> float | None:
    js_L = window_mean(run, "js")
    return float(js_L[:2].max() / js_L[2:].max()) if len(js_L) > 2 else None


def _deep_over_rest(run: Run) -> float:
    js_L = window_mean(run, "js")
    deep = third(len(js_L))
    return float(js_L[-deep:].mean() / js_L[:-deep].mean())


def _early(metric: str) -> Callable[[Run], float]:
    def value(run: Run) -> float:
        values_L = window_mean(run, metric)
        return float(values_L[: third(len(values_L))].mean())

    return value


def _effect(metric: str, layer: int | None = None) -> Callable[[Run], float | None]:
    def value(run: Run) -> float | None:
        effect_L = effect(run, metric)
        if layer is None:
            return float(effect_L.mean())
        return float(effect_L[layer]) if layer < len(effect_L) else None

    return value


def _normalised(run: Run) -> float:
    return float(final(run, "pr_post").mean() / run.width)


def _layer_spread(run: Run) -> float:
    values_L = final(run, "pr_post")
    return float(values_L.std() / values_L.mean())


EVAL_LOSS = Quantity("eval_loss", "final eval loss", "nats", lambda run: run.row["eval_loss"])
PR_POST = Quantity(
    "final_pr_post",
    "PR_post after training, mean over layers",
    "dimensions",
    lambda run: float(final(run, "pr_post").mean()),
    by_ratio=True,
)
EEE_POST = Quantity(
    "final_eee_post",
    "EEE_post after training, mean over layers",
    "",
    lambda run: float(final(run, "eee_post").mean()),
)
NORMALISED_PR = Quantity(
    "final_pr_post_over_width", "PR_post / D after training, mean over layers", "", _normalised, by_ratio=True
)
LAYER_SPREAD = Quantity(
    "final_pr_post_layer_spread",
    "spread of PR_post over layers after training (standard deviation / mean)",
    "",
    _layer_spread,
    by_ratio=True,
)
SETTLING_STEP = Quantity(
    "se_post_settling_step",
    f"step from which SE_post (mean over layers) stays within {100 * SETTLED:.0f} % of its final value",
    "steps",
    lambda run: settling_step(run),
)
JS_PEAK = Quantity(
    "js_peak_over_median", "JS of the largest layer / that of the median layer", "", _peak_over_median, by_ratio=True
)
JS_DEPTH = Quantity(
    "js_deep_over_rest", "JS of the deepest third of layers / that of the others", "", _deep_over_rest, by_ratio=True
)
JS_FIRST_TWO = Quantity(
    "js_first_two_over_rest",
    "JS of the larger of layers 1 and 2 / that of the largest of the others",
    "",
    _first_two_over_rest,
    by_ratio=True,
)
MEAN_EFFECT = {
    id: Quantity(
        f"{id}_effect", f"{metric.effect}, mean over layers", metric.effect_unit, _effect(id), by_ratio=metric.by_ratio
    )
    for id, metric in SPECTRAL.items()
}
EARLY_EEE_PRE = Quantity("early_eee_pre", "EEE_pre of the first third of layers", "", _early("eee_pre"))
EARLY_EEE_POST = Quantity("early_eee_post", "EEE_post of the first third of layers", "", _early("eee_post"))
EARLY_JS = Quantity("early_js", "JS of the first third of layers", "nats", _early("js"), by_ratio=True)
EARLY_GAIN = Quantity("early_pr_gain", "PR gain of the first third of layers", "", _early("pr_gain"), by_ratio=True)
FIRST_TWO_GAIN = Quantity(
    "first_two_pr_gain",
    "PR gain of layers 1 and 2",
    "",
    lambda run: float(window_mean(run, "pr_gain")[:2].mean()),
    by_ratio=True,
)

QUANTITIES: tuple[Quantity, ...] = (
    EVAL_LOSS,
    PR_POST,
    EEE_POST,
    NORMALISED_PR,
    LAYER_SPREAD,
    SETTLING_STEP,
    JS_PEAK,
    JS_DEPTH,
    JS_FIRST_TWO,
    *MEAN_EFFECT.values(),
    EARLY_EEE_PRE,
    EARLY_EEE_POST,
    EARLY_JS,
    EARLY_GAIN,
    FIRST_TWO_GAIN,
)
"""Those that every run has; without "after training" or "step" they are averaged over the window's checkpoints."""


def layer_effect(metric: str, layer: int) -> Quantity:
    """`effect` in one layer (from 0; readers see it from 1)."""
    of = SPECTRAL[metric]
    id, name = f"{metric}_effect_layer_{layer + 1}", f"{of.effect}, in layer {layer + 1}"
    return Quantity(id, name, of.effect_unit, _effect(metric, layer), by_ratio=of.by_ratio)


def all_quantities(aggregates: Aggregates) -> tuple[Quantity, ...]:
    """`QUANTITIES`, and the effect in every layer that any of the baseline's siblings has."""
    layers = max((run.config["model"]["layers"] for run in aggregates.siblings()), default=0)
    return (*QUANTITIES, *(layer_effect(metric, layer) for metric in SPECTRAL for layer in range(layers)))
