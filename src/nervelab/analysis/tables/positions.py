"""Appendix J: the metrics by groups of token positions, beside those of all tokens."""

from __future__ import annotations

import polars as pl

from nervelab.analysis.aggregates import FULL, Aggregates
from nervelab.analysis.labels import GROUPS
from nervelab.analysis.models import run_named
from nervelab.analysis.tables.table import METRIC_COLUMNS, Column, Table
from nervelab.study.decisions import Analysis

_METRICS = tuple(column.name for column in METRIC_COLUMNS)
_SCHEMA = {
    **dict.fromkeys(("model", "group", "words"), pl.String),
    "n_tokens": pl.Int64,
    **dict.fromkeys(_METRICS, pl.Float64),
    "state": pl.String,
}


def _build(aggregates: Aggregates, _: Analysis) -> pl.DataFrame:
    rows = []
    for run in aggregates.all_runs():
        if not run.config["measure"]["by_position"]:
            continue
        own = aggregates.spectra.filter(pl.col("name") == run.row["name"], estimator=FULL)
        last = own.filter(pl.col("step") == pl.col("step").max())
        means = last.group_by("group", maintain_order=True).agg(pl.col("n_tokens").first(), pl.col(_METRICS).mean())
        for row in means.iter_rows(named=True):
            known = {"model": run_named(run.row | {"off_base": _without_own_axis(run.row["off_base"])})}
            rows.append(known | row | {"words": GROUPS[row["group"]], "state": run.state})
    return pl.DataFrame(rows, schema=_SCHEMA)


def _without_own_axis(off_base: list[str]) -> list[str]:
    return [key for key in off_base if key != "measure_by_position"]


BY_POSITION = Table(
    id="token-positions",
    title="Metrics by token position",
    caption=(
        "NerVE, appendix J, which prints no numbers. After training, averaged over layers: over all tokens, over each "
        "third of the sequence, or over the upper and the lower patches of an image. A group has fewer tokens than all "
        "of them, which alone lowers PR a little where tokens are not many times D."
    ),
    columns=(
        Column("model", "model"),
        Column("words", "tokens"),
        Column("n_tokens", "number"),
        *METRIC_COLUMNS,
        Column("state", "outcome"),
    ),
    build=_build,
)
