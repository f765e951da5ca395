"""Each quantity on a grid small enough to work out by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from nervelab.aggregates.window import window_mean
from nervelab.analysis.quantities import (
    EVAL_LOSS,
    JS_FIRST_TWO,
    MEAN_EFFECT,
    PR_POST,
    QUANTITIES,
    all_quantities,
    layer_effect,
    settling_step,
    third,
)
from tests.support.made_up_runs import MadeUp, at_4d, gathered

# Steps 0, 100, 200, 600 and 1000 of 1000: the window holds the last three. Four layers; D = 256.
_STEPS = (0, 100, 200, 600, 1000)
_GRID = {
    "se_pre": [[9, 9, 9, 9], [9, 9, 9, 9], [1, 1, 1, 1], [2, 2, 2, 2], [3, 3, 3, 3]],
    "se_post": [[0, 0, 0, 0], [2, 2, 2, 2], [2, 3, 3, 4], [4, 4, 4, 4.2], [4, 4, 4, 4]],
    "pr_pre": [[9, 9, 9, 9], [9, 9, 9, 9], [10, 10, 10, 10], [10, 10, 10, 10], [10, 10, 10, 10]],
    "pr_post": [[0, 0, 0, 0], [0, 0, 0, 0], [20, 30, 40, 50], [30, 40, 50, 60], [10, 20, 30, 68]],
    "eee_pre": [[0, 0, 0, 0], [0, 0, 0, 0], [0.9, 0.8, 0.7, 0.6], [0.9, 0.8, 0.7, 0.6], [0.9, 0.8, 0.7, 0.6]],
    "eee_post": [[1, 1, 1, 1], [1, 1, 1, 1], [0.5, 0.6, 0.6, 0.4], [0.5, 0.6, 0.6, 0.4], [0.2, 0.6, 0.75, 0.4]],
    "js": [[9, 9, 9, 9], [9, 9, 9, 9], [0.1, 0.4, 0.2, 0.1], [0.1, 0.5, 0.2, 0.1], [0.1, 0.6, 0.2, 0.1]],
}
_BY_HAND = {
    "eval_loss": 3.25,
    "final_pr_post": 32,  # (10 + 20 + 30 + 68) / 4
    "final_eee_post": 0.4875,  # (0.2 + 0.6 + 0.75 + 0.4) / 4
    "final_pr_post_over_width": 32 / 256,
    "final_pr_post_layer_spread": math.sqrt((22**2 + 12**2 + 2**2 + 36**2) / 4) / 32,
    "se_post_settling_step": 600,  # the mean goes 0, 2, 3, 4.05, 4: within 0.2 of 4 from 600 on
    "se_post_settling_beyond_loss": 600 - 1000,  # 2 (1 - share)^2 above 3.25: within 0.1625 of it at the end only
    "js_band_over_others": 0.55 / (0.4 / 3),  # layer 2 at 200; over 600 and 1000 0.55 against 0.1, 0.2, 0.1
    "js_deep_over_rest": 0.15 / 0.3,  # layers 3 and 4 over 1 and 2
    "js_early_over_late": 0.3 / 0.15,  # layers 1 and 2 over 3 and 4
    "pr_gain_early_over_late": (6 * 24) ** (1 / 6)
    / (60 * 204) ** (1 / 6),  # products over the window by layer: 6, 24, 60, 204
    "eee_post_early_less_late": 0.5 - 0.525,
    "js_first_two_over_rest": 0.5 / 0.2,  # layer 2 over layer 3
    "se_effect": (10 + 11 + 11 + 12.2) / 12 - 2,  # sums over the window by layer, 3 checkpoints, 4 layers; less 2
    "pr_effect": (6 * 24 * 60 * 204) ** (1 / 12),  # the gain, over 10 everywhere: 2, 3 and 1 in layer 1
    "eee_effect": -(0.5 + 0.2 + 0.05 + 0.2) / 4,  # layers 0.4, 0.6, 0.65, 0.4 less 0.9, 0.8, 0.7, 0.6
    "early_eee_pre": 0.85,
    "early_eee_post": 0.5,  # layer 1: 0.4, layer 2: 0.6
    "early_js": 0.3,
    "early_pr_gain": (6 * 24) ** (1 / 6),  # layers 1 and 2
    "first_two_pr_gain": (6 * 24) ** (1 / 6),
}


_EFFECT_BY_LAYER = {
    "se": [10 / 3 - 2, 11 / 3 - 2, 11 / 3 - 2, 12.2 / 3 - 2],
    "pr": [6 ** (1 / 3), 24 ** (1 / 3), 60 ** (1 / 3), 204 ** (1 / 3)],
    "eee": [-0.5, -0.2, -0.05, -0.2],
}


def by_hand(grid=None, outcome="finished", loss=3.25):
    """The one run whose metrics are `grid` at `_STEPS`."""
    known = {name: np.array(values, dtype=float) for name, values in (_GRID | (grid or {})).items()}
    run = MadeUp(steps=_STEPS, outcome=outcome)
    kept = len(_STEPS) if outcome == "finished" else len(_STEPS) // 2
    spectrum = {name: values[:kept] for name, values in known.items()}
    return gathered([run], lambda *_: dict(spectrum), lambda _: loss).find()


def test_every_quantity_has_been_worked_out():
    assert list(_BY_HAND) == [quantity.id for quantity in QUANTITIES]


@pytest.mark.parametrize("quantity", QUANTITIES, ids=lambda quantity: quantity.id)
def test_a_quantity_is_what_it_is_by_hand(quantity):
    assert quantity.of(by_hand()) == pytest.approx(_BY_HAND[quantity.id])


@pytest.mark.parametrize("outcome", ["stuck", "diverged"])
@pytest.mark.parametrize("quantity", QUANTITIES, ids=lambda quantity: quantity.id)
def test_a_failed_run_has_none(quantity, outcome):
    assert quantity.of(by_hand(outcome=outcome)) is None


@pytest.mark.parametrize("quantity", QUANTITIES[1:], ids=lambda quantity: quantity.id)
def test_a_cell_that_was_not_measured_leaves_none(quantity):
    unmeasured = {name: [*values[:-1], [math.nan, *values[-1][1:]]] for name, values in _GRID.items()}
    assert quantity.of(by_hand(unmeasured)) is None


def test_of_a_ratio_that_is_not_positive_there_is_none():
    assert PR_POST.of(by_hand({"pr_post": [[0] * 4] * 5})) is None
    assert EVAL_LOSS.of(by_hand(loss=0.0)) == 0


@pytest.mark.parametrize(("layers", "deep"), [(1, 1), (2, 1), (3, 1), (4, 2), (6, 2), (12, 4), (13, 5)])
def test_a_third_of_the_depth_is_rounded_up(layers, deep):
    assert third(layers) == deep


@pytest.mark.parametrize(
    ("mean", "step"),
    [
        ([4, 4, 4, 4, 4], 0),
        ([4, 3, 4, 4, 4], 200),  # it counts from the last time away
        ([0, 1, 2, 3, 4], 1000),
        ([4.15, 3.85, 4.1, 3.9, 4], 0),
        ([4.25, 4, 4, 4, 4], 100),
    ],
)
def test_settling_is_the_last_return_to_within_5_percent(mean, step):
    assert settling_step(by_hand({"se_post": np.tile(np.array(mean, float)[:, None], 4)})) == step


@pytest.mark.parametrize("metric", _EFFECT_BY_LAYER)
def test_an_effect_in_a_layer_is_what_it_is_by_hand(metric):
    run = by_hand()
    found = [layer_effect(metric, layer).of(run) for layer in range(4)]
    assert found == pytest.approx(_EFFECT_BY_LAYER[metric])
    mean = stats.gmean if metric == "pr" else np.mean
    assert mean(found) == pytest.approx(MEAN_EFFECT[metric].of(run))


def test_a_gain_and_its_reverse_cancel():
    run = by_hand({"pr_post": [[1] * 4] * 2 + [[20, 5, 20, 5], [5, 20, 5, 20], [10] * 4]})
    assert [MEAN_EFFECT["pr"].of(run), layer_effect("pr", 0).of(run)] == pytest.approx([1, 1])


def test_a_layer_that_a_run_lacks_has_no_effect():
    assert layer_effect("se", 4).of(by_hand()) is None


def test_layers_are_counted_from_1_for_readers():
    effect = layer_effect("pr", 0)
    assert (effect.id, effect.unit, effect.by_ratio) == ("pr_effect_layer_1", "", True)
    assert effect.name == "PR gain (post / pre), in layer 1"
    effect = layer_effect("se", 3)
    assert (effect.id, effect.unit, effect.by_ratio) == ("se_effect_layer_4", "nats", False)
    assert effect.name == "SE, post minus pre, in layer 4"


def test_differences_with_a_sign_are_not_compared_by_ratio():
    differences = {quantity.id for quantity in QUANTITIES if not quantity.by_ratio}
    assert differences == {
        *("eval_loss", "final_eee_post", "se_post_settling_step", "se_post_settling_beyond_loss"),
        *("eee_post_early_less_late", "se_effect", "eee_effect"),
        *("early_eee_pre", "early_eee_post"),
    }


def test_all_quantities_are_those_of_every_run_and_the_effects_in_each_layer():
    ids = [quantity.id for quantity in all_quantities(gathered(at_4d(("preln", "gelu"))))]
    layers = [f"{metric}_effect_layer_{layer}" for metric in ("se", "pr", "eee") for layer in (1, 2, 3, 4)]
    assert ids == [*(quantity.id for quantity in QUANTITIES), *layers]


def test_of_two_layers_alone_the_first_two_have_no_rest():
    run = by_hand({"js": [[0.1, 0.4, math.nan, math.nan]] * 5})
    assert JS_FIRST_TWO.of(run) is None


def test_the_window_begins_with_the_first_step_that_reaches_its_share():
    run = by_hand()
    for start, kept in ((0.2, [2, 3, 4]), (0.21, [3, 4]), (1 - 1e-9, [4])):
        expected = np.array(_GRID["js"])[kept].mean(axis=0)
        np.testing.assert_allclose(window_mean(replace(run, window_start=start), "js"), expected)
