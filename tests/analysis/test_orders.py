"""Pairwise orders: against differences written out, and against the paper's numbers in the words of the page."""

import math
from types import SimpleNamespace

import polars as pl
import pytest
from scipy import stats

from nervelab.analysis.tables.ranking import COLUMNS, agreement, by_errors, compared
from nervelab.statistics.estimate import Estimate


def mixer(accuracy: float, images: int | None = 2048) -> list[SimpleNamespace]:
    dataset = {} if images is None else {"validation_images": images}
    return [SimpleNamespace(row={"eval_accuracy": accuracy}, config={"dataset": dataset})]


def test_the_interval_of_two_accuracies_is_that_of_two_binomials():
    estimate = by_errors(0.95)(mixer(0.91), mixer(0.93))
    deviation = math.sqrt(0.91 * 0.09 / 2048 + 0.93 * 0.07 / 2048)
    low, high = stats.norm.interval(0.95, loc=0.02, scale=deviation)
    assert (estimate.value, estimate.low, estimate.high) == pytest.approx((0.02, low, high))


def test_without_a_number_of_images_no_difference_of_accuracies_counts():
    models = {"a": mixer(0.1, None), "b": mixer(0.9, None)}
    assert compared(models, by_errors(0.95))["a"] == {"worse_than": "", "level_with": "b", "better_than": ""}


def orders(losses: dict[str, float], noise: float) -> dict[str, dict[str, str]]:
    """Models of one number each, level if they differ by at most `noise`."""

    def difference(one, other):
        return Estimate(one[0] - other[0], one[0] - other[0] - noise, one[0] - other[0] + noise)

    return compared({label: [loss] for label, loss in losses.items()}, difference)


def test_each_model_names_the_others_by_their_order():
    found = orders({"a": 1.0, "b": 1.05, "c": 2.0}, noise=0.1)
    assert found["a"] == {"worse_than": "", "level_with": "b", "better_than": "c"}
    assert found["b"] == {"worse_than": "", "level_with": "a", "better_than": "c"}
    assert found["c"] == {"worse_than": "a; b", "level_with": "", "better_than": ""}


def frame(losses: dict[str, float], printed: dict[str, float], noise: float = 0.1) -> pl.DataFrame:
    rows = [{"model": label, "printed": printed.get(label), **order} for label, order in orders(losses, noise).items()]
    return pl.DataFrame(rows, schema_overrides={"printed": pl.Float64})


@pytest.mark.parametrize(
    ("losses", "said"),
    [
        ({"a": 1.0, "b": 2.0, "c": 3.0}, "3 found here, 0 level within noise, 0 inverted."),
        ({"a": 1.0, "b": 1.0, "c": 3.0}, "2 found here, 1 level within noise, 0 inverted."),
        (
            {"a": 3.0, "b": 2.0, "c": 1.0},
            "0 found here, 0 level within noise, 3 inverted (here b better than a; c better than a; c better than b).",
        ),
    ],
)
def test_the_papers_orders_are_found_level_or_inverted(losses, said):
    paper = {"a": 10.0, "b": 20.0, "c": 30.0}
    assert agreement(frame(losses, paper), printed="printed") == f"The paper orders 3 pairs: {said}"
    backwards = {label: -value for label, value in paper.items()}
    assert agreement(frame(losses, backwards), printed="printed", more_is_better=True).endswith(said)


def test_pairs_without_numbers_of_the_papers_are_said_apart():
    said = agreement(frame({"a": 1.0, "b": 2.0, "c": 1.05}, {"a": 10.0, "b": 20.0}), printed="printed")
    assert said == (
        "The paper orders one pair: 1 found here, 0 level within noise, 0 inverted. "
        "Of 2 pairs of which it does not print both numbers: 1 level; c better than b."
    )


def test_models_that_were_not_compared_are_left_out():
    one, other = frame({"a": 1.0, "b": 2.0}, {"a": 1, "b": 2}), frame({"c": 1.0, "d": 2.0}, {"c": 2, "d": 1})
    absent = pl.DataFrame([{"model": "e", "printed": 3.0, **dict.fromkeys(COLUMNS)}], schema=one.schema)
    assert agreement(pl.concat([one, other, absent]), printed="printed") == (
        "The paper orders 2 pairs: 1 found here, 0 level within noise, 1 inverted (here c better than d)."
    )
    assert agreement(absent, printed="printed") == ""
