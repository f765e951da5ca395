"""Table 3: metrics against loss, over the checkpoints of a run (left) and over the widths of a model (right)."""

from __future__ import annotations

from itertools import product
from typing import Any

import polars as pl

from nervelab.aggregates.find import SEEDS, SHORT_RECIPE, Aggregates, over_widths
from nervelab.aggregates.run import Run, names
from nervelab.aggregates.window import final_pairs, pairs_with_eval_loss
from nervelab.analysis.tables.table import RUNS, RUNS_TYPE, Column, Table
from nervelab.paper import printed as paper
from nervelab.statistics.across_runs import pearson_of, spearman_of
from nervelab.statistics.within_run import correlate
from nervelab.words.labels import WINDOW
from nervelab.words.metrics import SITES, SPECTRAL
from nervelab.words.runs import named, outcome, outcome_over_widths

CHECKPOINTS_ID = "table-03-checkpoints"
WIDTHS_ID = "table-03-widths"
_R = ("pearson", "spearman")
_ENDS = ("", "_low", "_high")
_KEYS = dict.fromkeys(("model", "label", "metric", "site", "state"), pl.String) | {RUNS: RUNS_TYPE}
_CHECKPOINTS = {
    **_KEYS,
    "paper_pearson": pl.Float64,
    **{f"{r}{end}": pl.Float64 for r, end in product(_R, _ENDS)},
    "checkpoints": pl.Int64,
    **{f"{r}_whole{end}": pl.Float64 for r, end in product(_R, _ENDS)},
    "checkpoints_whole": pl.Int64,
}
_WIDTHS = {
    **_KEYS,
    "paper_pearson": pl.Float64,
    **{f"{r}{end}": pl.Float64 for r, end in product(_R, _ENDS)},
    "widths": pl.Int64,
}


def _over_checkpoints(aggregates: Aggregates) -> pl.DataFrame:
    rows = []
    for printed, metric, site in product(paper.rows(CHECKPOINTS_ID), SPECTRAL, SITES):
        run = aggregates.find(**printed["settings"], **SHORT_RECIPE)
        runs = () if run is None else (run,)
        row = _keys(printed, metric, site, outcome(runs)) | {RUNS: names(runs)}
        rows.append(row | ({} if run is None else _measured(run, f"{metric}_{site}", aggregates)))
    return pl.DataFrame(rows, schema=_CHECKPOINTS)


def _keys(printed: dict[str, Any], metric: str, site: str, state: str) -> dict[str, Any]:
    return {
        "model": named(printed["settings"]),
        "label": printed["label"],
        "metric": SPECTRAL[metric].name,
        "site": site,
        "state": state,
        "paper_pearson": printed["r"].get(f"{metric}_{site}"),
    }


def _measured(run: Run, metric: str, aggregates: Aggregates) -> dict[str, Any]:
    row = {}
    for suffix, whole in (("", False), ("_whole", True)):
        pairs_S2 = pairs_with_eval_loss(run, metric, whole=whole)
        correlation = correlate(pairs_S2, aggregates.confidence, aggregates.draws)
        row[f"checkpoints{suffix}"] = correlation.checkpoints
        for r in _R:
            row[f"{r}{suffix}"] = getattr(correlation, r)
            low, high = getattr(correlation, f"{r}_interval") or (None, None)
            row |= {f"{r}{suffix}_low": low, f"{r}{suffix}_high": high}
    return row


def _over_widths(aggregates: Aggregates) -> pl.DataFrame:
    rows = []
    for printed in paper.rows(WIDTHS_ID):
        runs = over_widths(aggregates, printed["settings"])
        state = outcome_over_widths(runs)
        for metric, site in product(SPECTRAL, SITES):
            row = _keys(printed, metric, site, state) | {"model": printed["label"], RUNS: names(runs)}
            if state == "finished":
                pairs = final_pairs(runs, f"{metric}_{site}")
                for name, correlation in (("pearson", pearson_of), ("spearman", spearman_of)):
                    estimate = correlation(*pairs, aggregates.confidence)
                    row |= {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
                row["widths"] = len(runs)
            rows.append(row)
    return pl.DataFrame(rows, schema=_WIDTHS)


def _as_printed(lines: dict[str, str]):
    """The arrangement of the paper's table: models side by side, a line for each metric and each kind of number."""

    def arrange(frame: pl.DataFrame) -> pl.DataFrame:
        short = {metric.name: metric.short for metric in SPECTRAL.values()}
        rows: dict[tuple[str, str], dict[str, Any]] = {}
        for row in frame.iter_rows(named=True):
            for column, words in lines.items():
                metric = f"{short[row['metric']]} {row['site']}"
                line = rows.setdefault((metric, words), {"metric": metric, "line": words})
                line[row["label"]] = row[column]
        return pl.DataFrame(list(rows.values()), infer_schema_length=None)

    return arrange


def _failed(frame: pl.DataFrame) -> str:
    """Which models have no number because of how they ended."""
    rows = frame.filter(pl.col("state") != "finished").unique("label", maintain_order=True)
    return "; ".join(f"{row['label']}: {row['state']}" for row in rows.iter_rows(named=True))


def _columns(table: str) -> tuple[Column, ...]:
    labels = (printed["label"] for printed in paper.rows(table))
    return (
        Column("metric", "metric"),
        Column("line", "r"),
        *(Column(each, each, digits=2, signed=True) for each in labels),
    )


TABLE_3_CHECKPOINTS = Table(
    id=CHECKPOINTS_ID,
    title="Table 3, left, and the titles of Figures 1 and 3: metrics against eval loss over checkpoints",
    caption=(
        f"Paper: {paper.source(CHECKPOINTS_ID)}; which checkpoints it takes is not stated. Measured: the mean over "
        f"layers against the probe eval loss ({{probe_tokens}} held-out tokens) at the same step. {WINDOW} Beside it "
        "the whole run, whose first checkpoints can turn a sign. Both series drift over training, so a high r is "
        "easily had: it says that they move together, not that one explains the other. The file has a circular "
        "block bootstrap's interval for each r, widened for few blocks, which is wide where few fit into the "
        f"window. {SEEDS}"
    ),
    columns=_columns(CHECKPOINTS_ID),
    build=_over_checkpoints,
    remark=_failed,
    arrange=_as_printed(
        {
            "paper_pearson": "Pearson, paper",
            "pearson": "Pearson",
            "pearson_whole": "Pearson, whole run",
            "spearman": "Spearman",
            "spearman_whole": "Spearman, whole run",
        }
    ),
)

TABLE_3_WIDTHS = Table(
    id=WIDTHS_ID,
    title="Table 3, right: metrics after training against final eval loss over D = 1d to 8d",
    caption=(
        f"Paper: {paper.source(WIDTHS_ID)}. Measured: the mean over layers at the last measured step against the final "
        "eval loss ({eval_tokens} held-out tokens), over eight widths; the file has Fisher's (Fieller's) {confidence} "
        f"interval for each r. What grows with width and what falls with it correlates. {SEEDS}"
    ),
    columns=_columns(WIDTHS_ID),
    build=_over_widths,
    remark=_failed,
    arrange=_as_printed({"paper_pearson": "Pearson, paper", "pearson": "Pearson", "spearman": "Spearman"}),
)
