"""Table 7: PR_post by width and placement of the norm."""

from __future__ import annotations

from typing import Any

import polars as pl

from nervelab.aggregates.find import SEEDS, Aggregates, over_widths
from nervelab.aggregates.run import names
from nervelab.aggregates.window import final
from nervelab.analysis.tables.table import RUNS, RUNS_TYPE, Column, Table
from nervelab.paper import printed as paper
from nervelab.paper.architectures import BY_PLACEMENT, WIDTHS
from nervelab.words.labels import NOT_RUN
from nervelab.words.numbers import as_printed

_ID = "table-07-width"
_NUMBERS = ("paper_mean", "paper_spread", "paper_share", "mean", "spread", "share")
_SCHEMA = {
    "placement": pl.String,
    "width_multiple": pl.Int64,
    **dict.fromkeys(_NUMBERS, pl.Float64),
    "width": pl.Int64,
    "state": pl.String,
    RUNS: RUNS_TYPE,
}


def _build(aggregates: Aggregates) -> pl.DataFrame:
    rows = []
    for printed in paper.rows(_ID):
        sweep = over_widths(aggregates, BY_PLACEMENT[printed["placement"]])
        numbers = zip(WIDTHS, printed["mean"], printed["spread"], sweep, strict=True)
        for multiple, mean, spread, run in numbers:
            row: dict[str, Any] = {
                "placement": printed["placement"],
                "width_multiple": multiple,
                "paper_mean": mean,
                "paper_spread": spread,
                "paper_share": mean / (multiple * printed["d_model"]),
                "state": NOT_RUN if run is None else run.state,
                RUNS: names([run]),
            }
            if run is not None and not run.failed:
                pr_L = final(run, "pr_post")
                row |= {"mean": pr_L.mean(), "spread": pr_L.std(), "share": pr_L.mean() / run.width, "width": run.width}
            rows.append(row)
    return pl.DataFrame(rows, schema=_SCHEMA)


def _arrange(frame: pl.DataFrame) -> pl.DataFrame:
    """Widths side by side, and for each placement a line for each kind of number."""
    lines = {
        ("paper_mean", "paper_spread"): "PR_post, paper",
        ("mean", "spread"): "PR_post",
        ("paper_share", None): "PR_post / D, paper",
        ("share", None): "PR_post / D",
    }
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for row in frame.iter_rows(named=True):
        for (value, spread), words in lines.items():
            line = rows.setdefault((row["placement"], words), {"placement": row["placement"], "line": words})
            digits = None if value == "paper_mean" else 3 if spread is None else 1
            numbers = (as_printed(row[each], digits) for each in (value, spread) if each is not None)
            line[f"{row['width_multiple']}d"] = " ± ".join(each for each in numbers if each is not None) or None
    return pl.DataFrame(list(rows.values()), infer_schema_length=None)


def _remark(frame: pl.DataFrame) -> str:
    rows = frame.filter(pl.col("state") != "finished")
    return "; ".join(
        f"{row['placement']} {row['width_multiple']}d: {row['state']}" for row in rows.iter_rows(named=True)
    )


TABLE_7 = Table(
    id=_ID,
    title="Table 7: PR_post after training, by width and by placement of the norm",
    caption=(
        f"Paper: {paper.source(_ID)}. Measured: mean ± standard deviation over layers (divisor n) at the last "
        f"measured step, GELU. The levels cannot be compared (d is 768 there), PR_post / D can. {SEEDS}"
    ),
    columns=(
        Column("placement", "placement"),
        Column("line", "number"),
        *(Column(f"{k}d", f"D = {k}d") for k in WIDTHS),
    ),
    build=_build,
    remark=_remark,
    arrange=_arrange,
)
