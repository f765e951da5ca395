"""What `dvc plots` draws: the baselines over training, and entries of dvc.yaml that name what is there."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml

from nervelab.analysis.tables.baselines import BASELINES
from tests.support.synthetic_runs import LAPTOP, STEPS, Planted

ROOT = Path(__file__).resolve().parents[2]


def test_each_baseline_has_its_loss_and_pr_at_every_measured_step(gather, tmp_path):
    own = Planted(eval_loss=2.0, activation="swiglu", off_base=(("base", "own"),))
    other = Planted(width_multiple=8)  # no baseline
    frame = BASELINES.build(gather([*LAPTOP[:2], Planted(seed=1), own, other]))
    assert frame["model"].unique(maintain_order=True).to_list() == ["preln-gelu", "preln-relu", "own"]
    assert dict(frame.select("model", "base").iter_rows()) == {
        "preln-gelu": "gpt2-codeparrot",
        "preln-relu": "gpt2-codeparrot",
        "own": "other bases",
    }
    for run, name in zip((*LAPTOP[:2], own), ("preln-gelu", "preln-relu", "own"), strict=True):
        folder = tmp_path / "runs" / "laptop" / run.name
        rows = frame.filter(model=name)
        assert set(map(tuple, rows["runs"])) == {(run.name,)}
        assert rows["step"].to_list() == list(STEPS)
        assert rows["eval_loss"].to_list() == pl.read_parquet(folder / "history.parquet")["eval_loss"].to_list()
        spectra = pl.read_parquet(folder / "spectra.parquet")
        for metric in ("pr_pre", "pr_post"):
            expected = [np.mean(spectra.filter(step=step)[metric].to_numpy()) for step in STEPS]
            assert rows[metric].to_list() == pytest.approx(expected)


def test_without_a_baseline_the_table_has_its_columns(gather):
    frame = BASELINES.build(gather([Planted(width_multiple=8)]))
    assert frame.columns == ["base", "model", "step", "eval_loss", "pr_pre", "pr_post", "runs"]
    assert frame.is_empty()


def test_dvc_plots_name_columns_and_a_template_that_are_there(gather):
    columns = {*BASELINES.written(gather(LAPTOP[:1])).columns}
    plots = [plot for entry in yaml.safe_load((ROOT / "dvc.yaml").read_text())["plots"] for plot in entry.values()]
    assert {column for plot in plots for column in plot["y"].values()} == {"eval_loss", "pr_pre", "pr_post"}
    for plot in plots:
        assert set(plot["y"]) == {f"results/tables/{BASELINES.id}.csv"}
        assert {plot["x"], *plot["y"].values()} <= columns
        template = json.loads((ROOT / ".dvc" / "plots" / f"{plot['template']}.json").read_text())
        encoding = template["spec"]["encoding"]
        fields = {template["facet"]["field"], *(channel.get("field") for channel in encoding.values())}
        assert fields <= {None, "<DVC_METRIC_X>", "<DVC_METRIC_Y>", "rev", *columns}
