"""Appendix J: the metrics by groups of token positions, beside those of all tokens."""

from __future__ import annotations

import polars as pl

from nervelab.aggregates.find import Aggregates
from nervelab.aggregates.run import ALL, FULL
from nervelab.analysis.tables.table import METRIC_COLUMNS, RUNS, RUNS_TYPE, Column, Table
from nervelab.words.labels import GROUPS
from nervelab.words.runs import run_named

_METRICS = tuple(column.name for column in METRIC_COLUMNS)
_SCHEMA = {
    **dict.fromkeys(("model", "group", "words"), pl.String),
    **dict.fromkeys(("seed", "n_tokens"), pl.Int64),
    **dict.fromkeys((*_METRICS, "ratio", "ratio_low", "ratio_high"), pl.Float64),
    "state": pl.String,
    RUNS: RUNS_TYPE,
}


def _build(aggregates: Aggregates) -> pl.DataFrame:
    rows = []
    for run in aggregates.all_runs():
        if not run.config["measure"]["by_position"]:
            continue
        own = aggregates.spectra.filter(pl.col("name") == run.row["name"], estimator=FULL)
        last = own.filter(pl.col("step") == pl.col("step").max())
        means = last.group_by("group", maintain_order=True).agg(pl.col("n_tokens").first(), pl.col(_METRICS).mean())
        for row in means.join(_against_the_first(last), on="group", how="left", maintain_order="left").to_dicts():
            known = {"model": run_named(run.row, without=("measure_by_position",)), "seed": run.row["seed"]}
            rows.append(known | row | {"words": GROUPS[row["group"]], "state": run.state, RUNS: [run.row["name"]]})
    return pl.DataFrame(rows, schema=_SCHEMA)


def _against_the_first(last: pl.DataFrame) -> pl.DataFrame:
    """PR_post of each later group over that of the first one, layer by layer: the mean, the least, the largest."""
    groups = last.filter(pl.col("group") != ALL).select("group", "layer", "pr_post")
    first = groups.filter(pl.col("group") == pl.col("group").first()).select("layer", first="pr_post")
    ratio = pl.col("pr_post") / pl.col("first")
    later = groups.join(first, on="layer", maintain_order="left").filter(pl.col("group") != pl.col("group").first())
    return later.group_by("group", maintain_order=True).agg(
        ratio=ratio.mean(), ratio_low=ratio.min(), ratio_high=ratio.max()
    )


def _remark(frame: pl.DataFrame) -> str:
    """How far the last group of each model is from its first."""
    finished = frame.filter(pl.col("ratio").is_not_null(), state="finished")
    last = finished.group_by("model", "seed", maintain_order=True).last()
    said = (
        f"{row['ratio']:.2f} ({row['ratio_low']:.2f} to {row['ratio_high']:.2f}) in “{row['model']}”"
        + (f", seed {row['seed']}" if row["seed"] else "")
        for row in last.to_dicts()
    )
    if last.is_empty():
        return ""
    return f"PR_post of the last group over the first, mean of the layers (least to largest): {', '.join(said)}."


BY_POSITION = Table(
    id="token-positions",
    title="Appendix J: metrics by token position",
    caption=(
        "NerVE, appendix J, has figures only and says of them: under PreLN GELU PR_post of late tokens is roughly "
        "twice that of early ones, mainly in the deeper half (up to 125 % more, says its section on limitations), "
        "under ReLU less; norm-free and in a Mixer there is hardly a difference. Here: after training, run by run, "
        "averaged over layers; over all tokens, over each third of the sequence, or over the upper and the lower "
        "patches of an image. A group has fewer tokens than all of them, which alone lowers PR a little where tokens "
        "are not many times D. What the spread over seeds of the ratio is, is not known."
    ),
    columns=(
        Column("model", "model"),
        Column("seed", "seed"),
        Column("words", "tokens"),
        Column("n_tokens", "number of tokens", grouped=True),
        *METRIC_COLUMNS,
        Column("ratio", "PR_post over the first group's [least, largest layer]", digits=2, interval=True),
        Column("state", "outcome"),
    ),
    build=_build,
    remark=_remark,
    undecided=("J",),
)
