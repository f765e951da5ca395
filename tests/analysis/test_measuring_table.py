"""The same trainings measured in eval mode and as they compute, side by side."""

from __future__ import annotations

import json
from dataclasses import replace

import polars as pl
import pytest

from nervelab.aggregates.find import Aggregates
from nervelab.analysis.tables.measuring_mode import MEASURING_MODE
from nervelab.words.numbers import THIN
from tests.support.made_up_runs import MadeUp, gathered

METRICS = ("se_pre", "se_post", "pr_pre", "pr_post", "eee_pre", "eee_post", "js")
SHIFTED = {
    "se_pre": 0.99,
    "se_post": 1.0,
    "pr_pre": 0.9,
    "pr_post": 0.95,
    "eee_pre": 1.001,
    "eee_post": 1.02,
    "js": 2.0,
}
AXES = ["embedding_dropout", "precision"]


def measured_both_ways(*runs: MadeUp, **changes: object) -> Aggregates:
    """Made-up runs in eval mode, and each again in train mode with its metrics multiplied by `SHIFTED`."""
    once = gathered(runs)
    rows, spectra = once.runs.to_dicts(), once.spectra.with_columns(pl.lit("eval").alias("mode"))
    for row in rows:
        row |= {"embedding_dropout": 0.1, "precision": "bfloat16", "off_base": AXES, "measure_mode": "eval"}
    again = []
    for row in rows:
        config = json.loads(row["config"])
        config["measure"]["mode"] = "train"
        off_base = {"name": f"{row['name']}-train", "off_base": [*AXES, "measure_mode"], "measure_mode": "train"}
        again.append(row | off_base | {"config": json.dumps(config)} | changes)
    copies = spectra.with_columns(pl.col("name") + "-train", *(pl.col(name) * by for name, by in SHIFTED.items()))
    return Aggregates(
        pl.DataFrame(rows + again, schema_overrides={"off_base": pl.List(pl.String)}, infer_schema_length=None),
        pl.concat([spectra, copies]).drop("mode"),
        pl.concat([once.history, once.history.with_columns(pl.col("name") + "-train")]),
        once.settings,
    )


def test_each_pair_is_a_row_with_both_values_of_each_metric_and_the_shift():
    pairs = [MadeUp(), MadeUp(seed=1), MadeUp(activation="relu")]
    both = measured_both_ways(*pairs)
    frame = MEASURING_MODE.build(both)
    said = "; embedding dropout 0.1; precision bfloat16"
    assert frame["model"].to_list() == [f"PreLN {each}{said}" for each in ("GELU", "GELU", "ReLU")]
    assert frame["seed"].to_list() == [0, 1, 0]
    assert frame["state"].unique().to_list() == ["finished"]
    last = both.spectra.filter(pl.col("step") == 1000)
    for row, run in zip(frame.to_dicts(), pairs, strict=True):
        assert row["runs"] == [run.name, f"{run.name}-train"]
        for metric in METRICS:
            mean = last.filter(name=run.name)[metric].mean()
            assert row[f"{metric}_eval"] == pytest.approx(mean)
            assert row[f"{metric}_train"] == pytest.approx(SHIFTED[metric] * mean)
            assert row[f"{metric}_shift"] == pytest.approx((SHIFTED[metric] - 1) * mean, abs=1e-9)
            assert row[f"{metric}_percent"] == pytest.approx(100 * (SHIFTED[metric] - 1), abs=1e-9)


def test_on_the_page_a_cell_has_both_values_and_the_shift():
    frame = MEASURING_MODE.build(measured_both_ways(MadeUp()))
    (built,), (shown,) = frame.to_dicts(), MEASURING_MODE.arrange(frame).to_dicts()
    before, after = (f"{built[f'pr_pre_{mode}']:.2f}" for mode in ("eval", "train"))
    shift = f"{abs(built['pr_pre_shift']):.2f}"
    assert shown["pr_pre"] == f"{before} → {after} (−{shift}, −10.00{THIN}%)"
    assert shown["js"].endswith(f", +100.00{THIN}%)")
    assert set(shown) == {column.name for column in MEASURING_MODE.columns}
    remark = MEASURING_MODE.remark(frame)
    assert remark.startswith(f"The largest shift of each metric: SE_pre −1.00{THIN}%, SE_post ")
    assert f"EEE_post +2.00{THIN}%, JS +100.00{THIN}%." in remark


def test_runs_without_a_pair_are_in_no_row():
    both = measured_both_ways(MadeUp(), MadeUp(activation="relu"))
    alone = both.runs.filter((pl.col("activation") == "gelu") | (pl.col("measure_mode") == "train"))
    frame = MEASURING_MODE.build(replace(both, runs=alone))
    assert [row["runs"][0] for row in frame.to_dicts()] == [MadeUp().name]
    usual = MEASURING_MODE.build(gathered())
    assert usual.is_empty()
    assert MEASURING_MODE.remark(usual) == ""
    assert "ONLY=measuring-mode" in MEASURING_MODE.absent


def test_a_pair_that_failed_has_its_outcome_and_no_numbers():
    frame = MEASURING_MODE.build(measured_both_ways(MadeUp(), outcome="diverged", stopped_at=400))
    (row,) = frame.to_dicts()
    assert row["state"] == "diverged at step 400"
    assert {row[f"{metric}_{kind}"] for metric in METRICS for kind in ("eval", "train", "shift", "percent")} == {None}
    (shown,) = MEASURING_MODE.arrange(frame).to_dicts()
    assert {shown[metric] for metric in METRICS} == {None}
    assert MEASURING_MODE.remark(frame) == ""
