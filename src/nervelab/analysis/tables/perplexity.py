"""Table 2: perplexity of the baselines and of the norm-free models."""

from __future__ import annotations

import polars as pl

from nervelab.analysis import paper
from nervelab.analysis.aggregates import Aggregates
from nervelab.analysis.labels import NOT_RUN
from nervelab.analysis.tables.table import Column, Table
from nervelab.study.decisions import Analysis

_ID = "table-02-perplexity"
_SCHEMA = {
    "architecture": pl.String,
    "paper_perplexity": pl.Float64,
    "measured_perplexity": pl.Float64,
    "eval_loss": pl.Float64,
    "state": pl.String,
}


def _build(aggregates: Aggregates, _: Analysis) -> pl.DataFrame:
    table = pl.DataFrame([_row(aggregates, printed) for printed in paper.rows(_ID)], schema=_SCHEMA)
    compared = pl.col("measured_perplexity").is_not_null()
    return table.with_columns(
        _rank("paper_perplexity", among=compared).alias("paper_rank"),
        _rank("measured_perplexity", among=compared).alias("measured_rank"),
    )


def _row(aggregates: Aggregates, printed: dict) -> dict:
    row = {"architecture": printed["label"], "paper_perplexity": printed["perplexity"], "state": NOT_RUN}
    run = aggregates.find(**printed["settings"]) if "settings" in printed else None
    if run is None:
        return row
    row["state"] = run.state
    # The last loss of a failed run is not the quality of its architecture.
    if not run.failed:
        row |= {"measured_perplexity": run.row["perplexity"], "eval_loss": run.row["eval_loss"]}
    return row


def _rank(column: str, *, among: pl.Expr) -> pl.Expr:
    return pl.when(among).then(pl.col(column)).rank("min").cast(pl.Int64)


PERPLEXITY = Table(
    id=_ID,
    title="Table 2: perplexity, the paper's beside the measured",
    caption=(
        f"Paper: {paper.source(_ID)}. Measured: exp of the final eval loss, in nats per token. Data, "
        "tokenizer and size differ, so the levels cannot be compared; the order can. Ranks (1 is best) are "
        "taken among the rows that have both numbers. One seed each: differences of up to about 0.03 nats "
        "were seen between two seeds of one small model."
    ),
    columns=(
        Column("architecture", "model"),
        Column("paper_perplexity", "paper", digits=3),
        Column("measured_perplexity", "measured", digits=2),
        Column("eval_loss", "eval loss", digits=3),
        Column("paper_rank", "rank in the paper"),
        Column("measured_rank", "rank measured"),
        Column("state", "outcome"),
    ),
    build=_build,
)
