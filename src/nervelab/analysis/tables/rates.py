"""The sweep of learning rates: no optimiser is to be judged at an untuned one."""

from __future__ import annotations

import polars as pl

from nervelab.analysis.aggregates import Aggregates
from nervelab.analysis.labels import OPTIMISERS
from nervelab.analysis.models import base_named
from nervelab.analysis.tables.table import RUNS, RUNS_TYPE, Column, Table
from nervelab.study.decisions import Analysis

_SCHEMA = {
    **dict.fromkeys(("model", "optimiser"), pl.String),
    "seed": pl.Int64,
    **dict.fromkeys(("rate", "rate_of_the_rest", "eval_loss"), pl.Float64),
    **dict.fromkeys(("best", "state"), pl.String),
    RUNS: RUNS_TYPE,
}
_SWEPT = {"optimiser", "optimiser_lr"}


def _build(aggregates: Aggregates, _: Analysis) -> pl.DataFrame:
    rows = []
    for run in aggregates.all_runs():
        if set(run.row["off_base"]) <= _SWEPT:
            optimiser = run.config["optimiser"]
            row = {"model": base_named(run.row), "optimiser": OPTIMISERS[optimiser["name"]], "seed": run.row["seed"]}
            row |= {"rate": optimiser["lr"], "rate_of_the_rest": optimiser.get("rest", {}).get("lr")}
            rows.append(
                row
                | {
                    "eval_loss": None if run.failed else run.row["eval_loss"],
                    "state": run.state,
                    RUNS: [run.row["name"]],
                }
            )
    frame = pl.DataFrame(rows, schema=_SCHEMA)
    frame = frame.filter(pl.col("seed") == pl.col("seed").min().over("model", "optimiser"))
    frame = frame.filter(pl.col("rate").n_unique().over("model", "optimiser") > 1)
    lowest = pl.col("eval_loss") == pl.col("eval_loss").min().over("model", "optimiser")
    frame = frame.sort("model", "optimiser", "rate", "rate_of_the_rest", nulls_last=True)
    return frame.with_columns(best=pl.when(lowest).then(pl.lit("lowest")).otherwise(pl.lit("")))


RATES = Table(
    id="learning-rates",
    title="Learning rates, swept on request",
    caption=(
        "What `make ONLY=tune` sweeps: the final eval loss of one seed at each rate. Muon and Dion train the hidden "
        "matrices at the first rate, AdamW everything else at the second. A rate at the end of its row of rates, if it "
        "has the lowest loss, is not known to be the best."
    ),
    columns=(
        Column("model", "model"),
        Column("optimiser", "optimiser"),
        Column("rate", "learning rate", significant=True),
        Column("rate_of_the_rest", "of the rest", significant=True),
        Column("eval_loss", "final eval loss (nats)", digits=3),
        Column("best", ""),
        Column("state", "outcome"),
    ),
    build=_build,
    across=("best",),
    absent=(
        "On request: `make ONLY=tune`. What it gave at laptop scale is kept in "
        "results/only/tune/tables/learning-rates.csv."
    ),
)
