"""The table of verdicts before and after."""

from __future__ import annotations

from dataclasses import replace

import polars as pl
import pytest

from nervelab.aggregates.find import Aggregates
from nervelab.analysis.findings.finding import WORDS
from nervelab.analysis.findings.registry import FINDINGS
from nervelab.analysis.tables.lengths import LENGTHS
from nervelab.analysis.tables.verdicts_before_and_after import (
    BEFORE,
    INTERVAL,
    PART_OF,
    REVIEWED,
    RULE,
    verdicts_before,
)
from tests.support.made_up_runs import MadeUp, at_4d, gathered, paper_loss, with_estimators


def both(long: Aggregates, short: Aggregates) -> Aggregates:
    """Runs by the long recipe, and others by the short one."""

    def named(aggregates: Aggregates, recipe: str) -> list[pl.DataFrame]:
        frames = (aggregates.runs, aggregates.spectra, aggregates.history)
        renamed = [frame.with_columns(name=pl.concat_str(pl.lit(recipe), "name")) for frame in frames]
        renamed[0] = renamed[0].with_columns(recipes=pl.lit([recipe]))
        return renamed

    pairs = zip(named(long, "long"), named(short, "short"), strict=True)
    return Aggregates(*(pl.concat(pair) for pair in pairs), long.settings)


def test_every_verdict_of_before_is_of_a_finding_or_of_what_its_parts_were():
    ids = {finding.id for finding in FINDINGS}
    assert verdicts_before().keys() == ids - PART_OF.keys() - {"pr-every-layer"}
    assert PART_OF.keys() <= ids
    assert set(PART_OF.values()) <= verdicts_before().keys()
    for times in verdicts_before().values():
        assert {times["small"]["verdict"], times["siblings"]["verdict"]} <= set(WORDS)


def test_of_every_verdict_the_page_says_what_turned_it():
    """The paper's world, in which nearly all is supported."""
    table = BEFORE.build(gathered(with_estimators()))
    by_id = {finding.id: finding for finding in FINDINGS}
    for row in table.to_dicts():
        before = verdicts_before().get(row["part_of"] or row["finding"])
        if before is None:
            assert (row["finding"], row["turned_by"]) == ("pr-every-layer", "a new claim")
            continue
        assert (row["small"], row["siblings"]) == (before["small"]["verdict"], before["siblings"]["verdict"])
        assert row["value_before"] == before["siblings"]["value"]
        assert row["now"] == "supported"
        reviewed = any(REVIEWED in revision.lower() for revision in by_id[row["finding"]].revisions)
        turned = RULE if reviewed else INTERVAL
        assert row["turned_by"] == ("" if row["siblings"] == "supported" else turned)


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
