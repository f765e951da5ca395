"""One run that is broken in some way takes nothing with it: all is rendered, and the run is shown as what it is."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from nervelab.aggregates.collect import aggregate
from nervelab.analysis.analyse import analyse
from nervelab.report.report import render
from nervelab.study.decisions import Analysis
from tests.report.poison import POISONS, SHOWN, folder_of, poison
from tests.support.synthetic_runs import LAPTOP, Planted, write_study

SETTINGS = Analysis(window_start=0.15, confidence=0.95, bootstrap=100, seed=0)


def rendered(root: Path, runs: tuple[Planted, ...], poisons: list[tuple[Planted, str]]) -> Path:
    """The results of planted runs, some of them poisoned."""
    runs_json, runs_root = write_study(root, runs)
    for run, how in poisons:
        poison(folder_of(root, run), how)
    aggregate(runs_json, runs_root, root / "aggregates")
    analyse(root / "aggregates", root / "results", SETTINGS)
    folders = {"results_dir": root / "results", "aggregates_dir": root / "aggregates"}
    render(**folders, runs_json=runs_json, settings=SETTINGS)
    return root / "results"


def lines_of(page: str, run: Planted) -> list[str]:
    return [line for line in page.splitlines() if line.startswith("|") and run.name in line]


def check(results: Path, run: Planted, how: str) -> None:
    page = (results / "report.md").read_text()
    said = lines_of(page, run)
    assert said, f"{run.name} is not on the page"
    assert any(SHOWN.get(how, "finished") in line for line in said), said
    assert "| nan" not in page
    assert "| inf" not in page


def test_each_way_to_be_broken_at_once(tmp_path: Path):
    """Seven runs, each broken in a way of its own; an eighth, of another seed, is as it was without them."""
    whole = Planted(activation="relu", eval_loss=3.29, seed=1)
    ways = list(POISONS)[: len(LAPTOP)]
    results = rendered(tmp_path, (*LAPTOP, whole), list(zip(LAPTOP, ways, strict=True)))
    for run, how in zip(LAPTOP, ways, strict=True):
        check(results, run, how)
    quantities = pl.read_csv(results / "tables" / "quantities.csv").filter(name=whole.name)
    alone = rendered(tmp_path / "alone", (whole,), [])
    known = pl.read_csv(alone / "tables" / "quantities.csv")
    assert quantities.select(known.columns).rows() == known.rows()


@pytest.mark.parametrize("how", ["a loss beyond exp", "diverged before anything was measured"])
def test_a_loss_that_exp_does_not_take_leaves_no_perplexity(tmp_path: Path, how: str):
    runs_json, runs_root = write_study(tmp_path, LAPTOP[:2])
    poison(folder_of(tmp_path, LAPTOP[0]), how)
    aggregate(runs_json, runs_root, tmp_path / "aggregates")
    broken, other = pl.read_parquet(tmp_path / "aggregates" / "runs.parquet")["perplexity"]
    assert broken is None
    assert other == pytest.approx(2.718281828459045**3.29)


@pytest.mark.slow
@pytest.mark.parametrize("how", POISONS)
@pytest.mark.parametrize("run", LAPTOP[:2], ids=lambda run: run.activation)
def test_a_broken_baseline_takes_nothing_with_it(tmp_path: Path, how: str, run: Planted):
    """The run that most figures and findings are made of."""
    check(rendered(tmp_path, LAPTOP, [(run, how)]), run, how)
