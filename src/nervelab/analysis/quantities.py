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
from nervelab.aggregates.window import final, mean_ratio, window_mean, window_mean_ratio, window_start_step
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

    post - pre for "se" and "eee"; the gain post / pre for "pr", whose size differs from model to model. Gains are
    averaged geometrically.
    """
    if metric == "pr":
        return window_mean_ratio(run, "pr_gain")
    return window_mean(run, f"{metric}_post") - window_mean(run, f"{metric}_pre")


def settling_step(run: Run) -> float:
    """The first measured step from which on SE_post, averaged over layers, stays within `SETTLED` of its last value.

    NaN where a cell was not measured.
    """
    grid = run.grid("se_post")
    return _settled(grid.steps_S, grid.values_SL.mean(axis=1))


def loss_settling_step(run: Run) -> float:
    """The first measured step from which on the probe eval loss stays within `SETTLED` of its last value."""
    steps_S = run.grid("se_post").steps_S
    return _settled(steps_S, run.eval_loss_at(steps_S))


def _settled(steps_S: np.ndarray, values_S: np.ndarray) -> float:
    if not np.isfinite(values_S).all():
        return math.nan
    away = np.flatnonzero(np.abs(values_S - values_S[-1]) > SETTLED * values_S[-1])
    return float(steps_S[away[-1] + 1 if away.size else 0])


def over_others(values_L: np.ndarray, layer: int) -> float | None:
    """The value of one layer over the mean of the others'; None of a single layer."""
    others_L = np.delete(values_L, layer)
    return float(values_L[layer] / others_L.mean()) if others_L.size else None


def _band_over_others(run: Run) -> float | None:
    first_SL, second_SL = _window_halves(run)
    return over_others(second_SL.mean(axis=0), int(first_SL.mean(axis=0).argmax())) if len(first_SL) else None


def _window_halves(run: Run) -> tuple[np.ndarray, np.ndarray]:
    """JS at the checkpoints of the window's first half and of its second, shapes [S, L]."""
    grid = run.grid("js")
    values_SL = grid.values_SL[grid.steps_S >= window_start_step(run)]
    half = len(values_SL) // 2
    return values_SL[:half], values_SL[half:]


def early_over_late(values_L: np.ndarray) -> float | None:
    """The mean of the first third of layers over that of the others; None where there are no others."""
    early = third(len(values_L))
    return float(values_L[:early].mean() / values_L[early:].mean()) if early < len(values_L) else None


def deep_over_rest(values_L: np.ndarray) -> float | None:
    """The mean of the deepest third of layers over that of the others; None where there are no others."""
    deep = third(len(values_L))
    return float(values_L[-deep:].mean() / values_L[:-deep].mean()) if deep < len(values_L) else None


def _gain_early_over_late(run: Run) -> float | None:
    gain_L = effect(run, "pr")
    early = third(len(gain_L))
    return float(mean_ratio(gain_L[:early]) / mean_ratio(gain_L[early:])) if early < len(gain_L) else None


def _early_eee_less_late(run: Run) -> float | None:
    values_L = window_mean(run, "eee_post")
    early = third(len(values_L))
    return float(values_L[:early].mean() - values_L[early:].mean()) if early < len(values_L) else None


def _first_two_over_rest(run: Run) -> float | None:
    js_L = window_mean(run, "js")
    return float(js_L[:2].max() / js_L[2:].max()) if len(js_L) > 2 else None


def _early(metric: str) -> Callable[[Run], float]:
    def value(run: Run) -> float:
        values_L = window_mean(run, metric)
        return float(values_L[: third(len(values_L))].mean())

    return value


def _gain(layers: Callable[[int], int]) -> Callable[[Run], float]:
    """The PR gain of the first layers, of so many as `layers` says of the depth."""

    def value(run: Run) -> float:
        gain_L = effect(run, "pr")
        return float(mean_ratio(gain_L[: layers(len(gain_L))]))

    return value


def _effect(metric: str, layer: int | None = None) -> Callable[[Run], float | None]:
    def value(run: Run) -> float | None:
        effect_L = effect(run, metric)
        if layer is None:
            return float(mean_ratio(effect_L) if SPECTRAL[metric].by_ratio else effect_L.mean())
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
SETTLING_BEYOND_LOSS = Quantity(
    "se_post_settling_beyond_loss",
    f"the same step less that from which the eval loss stays within {100 * SETTLED:.0f} % of its final value",
    "steps",
    lambda run: settling_step(run) - loss_settling_step(run),
)
JS_BAND = Quantity(
    "js_band_over_others",
    "JS in the window's second half, of the layer with the largest in its first half / mean of the other layers",
    "",
    _band_over_others,
    by_ratio=True,
)
JS_DEPTH = Quantity(
    "js_deep_over_rest",
    "JS of the deepest third of layers / that of the others",
    "",
    lambda run: deep_over_rest(window_mean(run, "js")),
    by_ratio=True,
)
JS_EARLY = Quantity(
    "js_early_over_late",
    "JS of the first third of layers / that of the others",
    "",
    lambda run: early_over_late(window_mean(run, "js")),
    by_ratio=True,
)
GAIN_EARLY = Quantity(
    "pr_gain_early_over_late",
    "PR gain of the first third of layers / that of the others",
    "",
    _gain_early_over_late,
    by_ratio=True,
)
EEE_EARLY = Quantity(
    "eee_post_early_less_late",
    "EEE_post of the first third of layers − that of the others",
    "",
    _early_eee_less_late,
)
JS_FIRST_TWO = Quantity(
    "js_first_two_over_rest",
    "JS of the larger of layers 1 and 2 / that of the largest of the others",
    "",
    _first_two_over_rest,
    by_ratio=True,
)
_MEAN = {True: "geometric mean", False: "mean"}
MEAN_EFFECT = {
    id: Quantity(
        f"{id}_effect",
        f"{metric.effect}, {_MEAN[metric.by_ratio]} over layers",
        metric.effect_unit,
        _effect(id),
        by_ratio=metric.by_ratio,
    )
    for id, metric in SPECTRAL.items()
}
EARLY_EEE_PRE = Quantity("early_eee_pre", "EEE_pre of the first third of layers", "", _early("eee_pre"))
EARLY_EEE_POST = Quantity("early_eee_post", "EEE_post of the first third of layers", "", _early("eee_post"))
EARLY_JS = Quantity("early_js", "JS of the first third of layers", "nats", _early("js"), by_ratio=True)
EARLY_GAIN = Quantity("early_pr_gain", "PR gain of the first third of layers", "", _gain(third), by_ratio=True)
FIRST_TWO_GAIN = Quantity(
    "first_two_pr_gain",
    "PR gain of layers 1 and 2",
    "",
    _gain(lambda _: 2),
    by_ratio=True,
)

QUANTITIES: tuple[Quantity, ...] = (
    EVAL_LOSS,
    PR_POST,
    EEE_POST,
    NORMALISED_PR,
    LAYER_SPREAD,
    SETTLING_STEP,
    SETTLING_BEYOND_LOSS,
    JS_BAND,
    JS_DEPTH,
    JS_EARLY,
    GAIN_EARLY,
    EEE_EARLY,
    JS_FIRST_TWO,
    *MEAN_EFFECT.values(),
    EARLY_EEE_PRE,
    EARLY_EEE_POST,
    EARLY_JS,
    EARLY_GAIN,
    FIRST_TWO_GAIN,
)
"""Those that every run has; without "after training" or "step" they are averaged over the window's checkpoints.

PR gains are ratios, and averaged geometrically over checkpoints and layers."""


def layer_effect(metric: str, layer: int) -> Quantity:
    """`effect` in one layer (from 0; readers see it from 1)."""
    of = SPECTRAL[metric]
    id, name = f"{metric}_effect_layer_{layer + 1}", f"{of.effect}, in layer {layer + 1}"
    return Quantity(id, name, of.effect_unit, _effect(metric, layer), by_ratio=of.by_ratio)


def all_quantities(aggregates: Aggregates) -> tuple[Quantity, ...]:
    """`QUANTITIES`, and the effect in every layer that any of the baseline's siblings has."""
    layers = max((run.config["model"]["layers"] for run in aggregates.siblings()), default=0)
    return (*QUANTITIES, *(layer_effect(metric, layer) for metric in SPECTRAL for layer in range(layers)))
