"""Table 2: perplexity of the baselines, of the placements and of the norm-free models."""

from __future__ import annotations

from typing import Any

import polars as pl

from nervelab.aggregates.find import LONG, Aggregates
from nervelab.aggregates.run import Run, names
from nervelab.analysis.compare import seed_noise
from nervelab.analysis.quantities import EVAL_LOSS
from nervelab.analysis.tables.ranking import COLUMNS, agreement, by_loss, compared
from nervelab.analysis.tables.table import RUNS, RUNS_TYPE, Column, Table
from nervelab.paper import printed as paper
from nervelab.statistics.exponential import perplexity
from nervelab.words.runs import outcome

_ID = "table-02-perplexity"
_SCHEMA = {
    "architecture": pl.String,
    "recipe": pl.String,
    "paper_perplexity": pl.Float64,
    "measured_perplexity": pl.Float64,
    "eval_loss": pl.Float64,
    "spread_over_seeds": pl.Float64,
    "seeds": pl.Int64,
    "state": pl.String,
    "paper_rank": pl.Int64,
    "measured_rank": pl.Int64,
    **dict.fromkeys(COLUMNS, pl.String),
    RUNS: RUNS_TYPE,
}


def _build(aggregates: Aggregates) -> pl.DataFrame:
    runs = {printed["label"]: aggregates.find_seeds(**printed["settings"]) for printed in paper.rows(_ID)}
    rows = {printed["label"]: _row(printed, runs[printed["label"]]) for printed in paper.rows(_ID)}
    measured = {label: runs[label] for label, row in rows.items() if row["eval_loss"] is not None}
    for recipe in dict.fromkeys(row["recipe"] for row in rows.values()):
        alike = {label: each for label, each in measured.items() if rows[label]["recipe"] == recipe}
        _rank(rows, compared(alike, by_loss(seed_noise(aggregates, EVAL_LOSS, recipe))))
    return pl.DataFrame(list(rows.values()), schema=_SCHEMA)


def _rank(rows: dict[str, dict[str, Any]], order: dict[str, dict[str, str]]) -> None:
    """Enter what compared models are better and worse than, and their ranks."""
    ranked = [label for label in order if rows[label]["paper_perplexity"] is not None]
    for label in order:
        rows[label] |= order[label]
    for label in ranked:
        row, printed = rows[label], rows[label]["paper_perplexity"]
        row["paper_rank"] = 1 + sum(rows[other]["paper_perplexity"] < printed for other in ranked)
        better = order[label]["worse_than"].split("; ")
        row["measured_rank"] = 1 + sum(other in better for other in ranked)


def _row(printed: dict[str, Any], runs: tuple[Run, ...]) -> dict[str, Any]:
    row = dict.fromkeys(_SCHEMA) | {"architecture": printed["label"], "paper_perplexity": printed.get("perplexity")}
    row["recipe"] = printed["settings"].get("recipe", LONG)
    row[RUNS] = names(runs)
    state = outcome(runs)
    # The last loss of a failed run is not the quality of its architecture.
    if state != "finished":
        return row | {"state": state}
    losses = pl.Series([run.row["eval_loss"] for run in runs])
    measured = {"measured_perplexity": perplexity(losses.mean()), "eval_loss": losses.mean(), "seeds": len(losses)}
    return row | measured | {"spread_over_seeds": losses.std() if len(losses) > 1 else None, "state": state}


PERPLEXITY = Table(
    id=_ID,
    title="Table 2: perplexity, the paper's beside the measured",
    caption=(
        f"Paper: {paper.source(_ID)}. Measured: exp of the final eval loss (nats per token, over {{eval_tokens}} "
        "held-out tokens, mean over seeds). Data, tokenizer and size differ, so the levels cannot be compared. Two "
        "models are level if the {confidence} interval of their difference by seed noise (table Seed noise) holds "
        "0; a rank is 1 plus the number of better models, among the rows of its recipe that have both numbers. Models "
        "of different recipes are trained for different lengths, and are not compared."
    ),
    columns=(
        Column("architecture", "model"),
        Column("recipe", "recipe"),
        Column("paper_perplexity", "paper", digits=3),
        Column("measured_perplexity", "measured", digits=2),
        Column("paper_rank", "rank, paper"),
        Column("measured_rank", "rank, measured"),
        Column("eval_loss", "final eval loss", digits=3),
        Column("spread_over_seeds", "deviation over seeds", digits=3),
        Column("seeds", "seeds"),
        Column("state", "outcome"),
    ),
    build=_build,
    remark=lambda frame: agreement(frame, printed="paper_perplexity", label="architecture"),
    across=("measured_rank", *COLUMNS),
)
