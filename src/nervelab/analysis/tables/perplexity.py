"""Table 2: perplexity of the baselines and of the norm-free models."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import polars as pl

from nervelab.analysis import paper
from nervelab.analysis.aggregates import SEEDS, Aggregates
from nervelab.analysis.labels import NOT_RUN, NOT_STUDIED
from nervelab.analysis.tables.table import Column, Table
from nervelab.study.decisions import Analysis

NOISE = {"laptop": 0.03}
"""Nats within which two final eval losses count as equal, by scale: the most by which two seeds of one model differed
in prototypes (0.003 to 0.03). At other scales it is not known, and every difference counts."""

_ID = "table-02-perplexity"
_SCHEMA = {
    "architecture": pl.String,
    "paper_perplexity": pl.Float64,
    "measured_perplexity": pl.Float64,
    "eval_loss": pl.Float64,
    "state": pl.String,
    "paper_rank": pl.Int64,
    "measured_rank": pl.Int64,
}


def _build(aggregates: Aggregates, _: Analysis) -> pl.DataFrame:
    rows = [_row(aggregates, printed) for printed in paper.rows(_ID)]
    compared = [row for row in rows if row["eval_loss"] is not None]
    noise = NOISE.get(aggregates.scale, 0.0)
    for row in compared:
        row["paper_rank"] = 1 + sum(other["paper_perplexity"] < row["paper_perplexity"] for other in compared)
        row["measured_rank"] = 1 + sum(other["eval_loss"] < row["eval_loss"] - noise for other in compared)
    return pl.DataFrame(rows, schema=_SCHEMA)


def _row(aggregates: Aggregates, printed: dict[str, Any]) -> dict[str, Any]:
    row = dict.fromkeys(_SCHEMA) | {"architecture": printed["label"], "paper_perplexity": printed["perplexity"]}
    if "settings" not in printed:
        return row | {"state": NOT_STUDIED}
    run = aggregates.find(**printed["settings"])
    if run is None:
        return row | {"state": NOT_RUN}
    # The last loss of a failed run is not the quality of its architecture.
    if run.failed:
        return row | {"state": run.state}
    measured = {"measured_perplexity": run.row["perplexity"], "eval_loss": run.row["eval_loss"]}
    return row | measured | {"state": run.state}


def _remark(frame: pl.DataFrame, scale: str) -> str:
    """Which of the paper's pairwise orders the measured losses keep, leave open and invert."""
    rows = frame.filter(pl.col("eval_loss").is_not_null()).sort("paper_perplexity").to_dicts()
    pairs = list(combinations(rows, 2))
    if not pairs:
        return ""
    noise = NOISE.get(scale, 0.0)
    gaps = [worse["eval_loss"] - better["eval_loss"] for better, worse in pairs]
    open_ = sum(abs(gap) <= noise for gap in gaps)
    kept = sum(gap > noise for gap in gaps)
    inverted = [
        f"{worse['architecture']} below {better['architecture']} by {-gap:.3f} nats"
        for (better, worse), gap in zip(pairs, gaps, strict=True)
        if gap < -noise
    ]
    noise_known = (
        f"Differences within {noise} nats count as ties: in prototypes at {scale} scale two seeds of one model "
        "differed by 0.003 to 0.03 nats."
        if scale in NOISE
        else "How far two seeds of one model differ is not known at this scale, so every difference counts."
    )
    return (
        f"{noise_known} Of the paper's {len(pairs)} pairwise orders: {kept} found here, {open_} tied, "
        f"{len(inverted)} inverted{': ' + '; '.join(inverted) if inverted else ''}."
    )


PERPLEXITY = Table(
    id=_ID,
    title="Table 2: perplexity, the paper's beside the measured",
    caption=(
        f"Paper: {paper.source(_ID)}. Measured: exp of the final eval loss, in nats per token, over {{eval_tokens}} "
        "held-out tokens. Data, tokenizer and size differ, so the levels cannot be compared. A rank is 1 plus the "
        "number of models that are better by more than the noise, among the rows that have both numbers. "
        f"One seed each. {SEEDS}"
    ),
    columns=(
        Column("architecture", "model"),
        Column("paper_perplexity", "paper", digits=3),
        Column("measured_perplexity", "measured", digits=2),
        Column("paper_rank", "rank, paper"),
        Column("measured_rank", "rank, measured"),
        Column("eval_loss", "final eval loss", digits=3),
        Column("state", "outcome"),
    ),
    build=_build,
    remark=_remark,
)
