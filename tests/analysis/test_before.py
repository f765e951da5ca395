"""The table of verdicts before and after."""

from __future__ import annotations

from dataclasses import replace

import polars as pl
import pytest

from nervelab.aggregates.find import Aggregates
from nervelab.analysis.findings.registry import FINDINGS
from nervelab.analysis.tables.lengths import LENGTHS
from nervelab.analysis.tables.verdicts_before_and_after import BEFORE, COUNTING, LENGTH, START, verdicts_before
from tests.support.made_up_runs import MadeUp, at_4d, behaving, gathered, paper_loss, with_estimators

AS_GELU = behaving({("preln", "relu"): ("preln", "gelu"), ("preln", "gelu"): ("preln", "relu")})


def both(long: Aggregates, short: Aggregates) -> Aggregates:
    """Runs by the long recipe, and others by the short one."""

    def named(aggregates: Aggregates, recipe: str) -> list[pl.DataFrame]:
        frames = (aggregates.runs, aggregates.spectra, aggregates.history)
        renamed = [frame.with_columns(name=pl.concat_str(pl.lit(recipe), "name")) for frame in frames]
        renamed[0] = renamed[0].with_columns(recipes=pl.lit([recipe]))
        return renamed

    pairs = zip(named(long, "long"), named(short, "short"), strict=True)
    return Aggregates(*(pl.concat(pair) for pair in pairs), long.settings)


def test_every_finding_has_a_verdict_before():
    assert verdicts_before().keys() == {finding.id for finding in FINDINGS}
    assert {each["verdict"] for each in verdicts_before().values()} <= {"supported", "contradicted", "inconclusive"}


def test_of_the_verdicts_before_the_page_says_what_turned_them():
    """The paper's world, in which all is supported: what was contradicted before was turned."""
    table = BEFORE.build(gathered(with_estimators()))
    assert table["after"].unique().to_list() == ["supported"]
    for row in table.to_dicts():
        assert row["before"] == verdicts_before()[row["finding"]]["verdict"]
        assert row["turned_by"] == ("" if row["before"] == "supported" else START)


def test_where_shorter_runs_give_the_verdict_of_before_it_was_the_length():
    before = verdicts_before()["gelu-broader"]["verdict"]
    assert before == "contradicted"
    reversed_at_short = gathered(with_estimators(), *AS_GELU)
    table = BEFORE.build(both(gathered(with_estimators()), reversed_at_short))
    row = table.row(by_predicate=pl.col("finding") == "gelu-broader", named=True)
    assert (row["after"], row["turned_by"]) == ("supported", LENGTH)
    assert row["value_before"] == pytest.approx(verdicts_before()["gelu-broader"]["value"])
    assert row["value"] > 1 > row["value_before"]
    assert all(name.startswith("long") for name in row["runs"])


def test_where_the_effects_counted_as_before_give_the_verdict_of_before_it_was_the_counting():
    """JS of layers that are nearly alike: it fades in deep layers, as claimed, and is not localised."""
    assert verdicts_before()["js-bands"]["verdict"] == "contradicted"
    even = gathered(with_estimators())
    levelled = 0.1 - 0.001 * pl.col("layer") + 0.01 * (pl.col("js") - pl.col("js").mean())
    table = BEFORE.build(replace(even, spectra=even.spectra.with_columns(js=levelled)))
    row = table.row(by_predicate=pl.col("finding") == "js-bands", named=True)
    assert (row["after"], row["turned_by"]) == ("in part", COUNTING)


def test_models_of_both_lengths_stand_side_by_side():
    """The made-up world in which the short recipe ends 0.5 nats higher."""
    runs = (*at_4d(("preln", "gelu"), ("none", "relu")), MadeUp(placement="postln", width_multiple=8))
    table = LENGTHS.build(both(gathered(runs), gathered(runs, loss=lambda run: paper_loss(run) + 0.5)))
    assert table["model"].unique(maintain_order=True).to_list() == [
        "PreLN GELU",
        "norm-free ReLU",
        "PostLN GELU, D = 8d",
    ]
    assert table["recipe"].to_list() == ["short", "long"] * 3
    assert table["seeds"].to_list() == [3, 3, 3, 3, 1, 1]
    losses = table["eval_loss"].to_list()
    assert [short - long for short, long in zip(losses[::2], losses[1::2], strict=True)] == pytest.approx([0.5] * 3)
    assert LENGTHS.remark(table).endswith("the long one ends 0.50 to 0.50 nats lower.")
    assert LENGTHS.build(gathered(runs)).is_empty()  # one training for both recipes


def test_at_another_scale_nothing_is_compared():
    assert BEFORE.build(replace(gathered(with_estimators(), scale="paper"))).is_empty()
