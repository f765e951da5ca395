"""The numbers in the titles of Figures 1 and 3: layer-mean metrics against eval loss over checkpoints."""

from __future__ import annotations

from itertools import product
from typing import Any

import polars as pl

from nervelab.analysis import correlations, paper
from nervelab.analysis.aggregates import SEEDS, Aggregates, Run
from nervelab.analysis.labels import METRICS, NOT_RUN, SHORT, WINDOW, architecture
from nervelab.analysis.tables.table import Column, Table
from nervelab.study.decisions import Analysis

_ID = "correlations-over-checkpoints"
_R = ("pearson", "spearman")
_ENDS = ("", "_low", "_high")
_SCHEMA = {
    "figure": pl.String,
    "architecture": pl.String,
    "metric": pl.String,
    "site": pl.String,
    "metric_short": pl.String,
    "paper_pearson": pl.Float64,
    **{f"{r}{end}": pl.Float64 for r, end in product(_R, _ENDS)},
    "checkpoints": pl.Int64,
    **{f"{r}_whole{end}": pl.Float64 for r, end in product(_R, _ENDS)},
    "checkpoints_whole": pl.Int64,
    "state": pl.String,
}


def _build(aggregates: Aggregates, settings: Analysis) -> pl.DataFrame:
    rows = []
    for printed, metric, site in product(paper.rows(_ID), METRICS, ("pre", "post")):
        run = aggregates.find(**printed["settings"])
        row = {
            "figure": printed["figure"],
            "architecture": architecture(printed["settings"]),
            "metric": METRICS[metric],
            "site": site,
            "metric_short": f"{SHORT[metric]} {site}",
            "paper_pearson": printed["r"][f"{metric}_{site}"],
            "state": NOT_RUN if run is None else run.state,
        }
        rows.append(row | ({} if run is None else _measured(run, f"{metric}_{site}", settings)))
    return pl.DataFrame(rows, schema=_SCHEMA)


def _measured(run: Run, metric: str, settings: Analysis) -> dict[str, Any]:
    row = {}
    for suffix, whole in (("", False), ("_whole", True)):
        pairs_S2 = correlations.pairs_with_eval_loss(run, metric, settings, whole=whole)
        correlation = correlations.correlate(pairs_S2, settings)
        row[f"checkpoints{suffix}"] = correlation.checkpoints
        for r in _R:
            row[f"{r}{suffix}"] = getattr(correlation, r)
            low, high = getattr(correlation, f"{r}_interval") or (None, None)
            row |= {f"{r}{suffix}_low": low, f"{r}{suffix}_high": high}
    return row


CORRELATIONS = Table(
    id=_ID,
    title="Correlation with eval loss over checkpoints",
    caption=(
        f"Paper: {paper.source(_ID)}; which checkpoints it takes is not stated. Measured: Pearson's r of the mean over "
        "layers against the probe eval loss ({probe_tokens} held-out tokens) at the same step. "
        f"{WINDOW} The interval is a circular block bootstrap's over checkpoints, widened for few blocks (as Fisher's "
        "z), and wide where few fit into the window; a dash where it would have no width. Beside it the whole run, "
        "whose first checkpoints can turn a sign. Both series drift over training, so a high r is easily had: it says "
        f"that they move together, not that one explains the other. {SEEDS}"
    ),
    columns=(
        Column("figure", "figure"),
        Column("metric_short", "metric"),
        Column("paper_pearson", "r, paper", digits=3, signed=True),
        Column("pearson", "r, measured", digits=3, interval=True, signed=True),
        Column("pearson_whole", "r, whole run", digits=3, signed=True),
        Column("checkpoints", "checkpoints"),
        Column("checkpoints_whole", "in the whole run"),
        Column("architecture", "model"),
        Column("state", "outcome"),
    ),
    build=_build,
)
