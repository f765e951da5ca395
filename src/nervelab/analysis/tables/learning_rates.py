"""The sweep of learning rates: no architecture and no optimiser is to be judged at an untuned one."""

from __future__ import annotations

from typing import Any

import polars as pl

from nervelab.aggregates.find import Aggregates
from nervelab.aggregates.run import Run
from nervelab.analysis.tables.table import RUNS, RUNS_TYPE, Column, Table
from nervelab.words.labels import OPTIMISERS
from nervelab.words.runs import run_named

_GROUP = ("model", "optimiser", "steps", "embedding_std")
_RATES = ("rate", "rate_of_the_rest")
_SCHEMA = {
    **dict.fromkeys(("model", "optimiser"), pl.String),
    "steps": pl.Int64,
    "embedding_std": pl.Float64,
    "seed": pl.Int64,
    **dict.fromkeys((*_RATES, "eval_loss"), pl.Float64),
    **dict.fromkeys(("best", "state"), pl.String),
    RUNS: RUNS_TYPE,
}
_SWEPT = ("optimiser", "optimiser_lr", "optimiser_rest_lr", "embedding_std")


def _row(run: Run) -> dict[str, Any]:
    optimiser, model = run.config["optimiser"], run.config["model"]
    return {
        "model": run_named(run.row | {"recipes": []}, without=_SWEPT),
        "optimiser": OPTIMISERS[optimiser["name"]],
        "steps": run.row["steps"],
        "embedding_std": model.get("embedding_std"),
        "seed": run.row["seed"],
        "rate": optimiser["lr"],
        "rate_of_the_rest": optimiser.get("rest", {}).get("lr"),
        "eval_loss": None if run.failed else run.row["eval_loss"],
        "state": run.state,
        RUNS: [run.row["name"]],
    }


def _build(aggregates: Aggregates) -> pl.DataFrame:
    frame = pl.DataFrame([_row(run) for run in aggregates.all_runs()], schema=_SCHEMA)
    frame = frame.filter(pl.col("seed") == pl.col("seed").min().over(_GROUP))
    frame = frame.filter(pl.struct(_RATES).n_unique().over(_GROUP) > 1)
    frame = frame.sort(*_GROUP, *_RATES, nulls_last=True)
    lowest = pl.col("eval_loss") == pl.col("eval_loss").min().over(_GROUP)
    at_an_end = pl.any_horizontal(
        (pl.col(rate).n_unique().over(_GROUP) > 1)
        & ((pl.col(rate) == pl.col(rate).min().over(_GROUP)) | (pl.col(rate) == pl.col(rate).max().over(_GROUP)))
        for rate in _RATES
    )
    words = pl.when(lowest & at_an_end).then(pl.lit("lowest, at an end")).when(lowest).then(pl.lit("lowest"))
    return frame.with_columns(best=words.otherwise(pl.lit("")))


RATES = Table(
    id="learning-rates",
    title="Learning rates, swept on request",
    caption=(
        "What `make ONLY=tune` sweeps: the final eval loss of one seed at each rate, by model, length and the standard "
        "deviation that its embeddings start with. The rates of `recipes` in params.yaml are chosen from it, by eval "
        "loss alone and before any finding is looked at again. Muon and Dion train the hidden matrices at the first "
        "rate, AdamW everything else at the second. A rate at an end of its row, if it has the lowest loss, is "
        "not known to be the best."
    ),
    columns=(
        Column("model", "model"),
        Column("optimiser", "optimiser"),
        Column("steps", "steps", grouped=True),
        Column("embedding_std", "embedding", digits=3),
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
