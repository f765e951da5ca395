"""How the baselines train: what `dvc plots` draws."""

from __future__ import annotations

import polars as pl

from nervelab.aggregates.find import SEEDS, Aggregates
from nervelab.aggregates.run import Run
from nervelab.analysis.baselines import baselines
from nervelab.analysis.tables.table import RUNS, RUNS_TYPE, Table
from nervelab.paper.architectures import BASELINE

_SCHEMA = {
    **dict.fromkeys(("base", "model"), pl.String),
    "step": pl.Int64,
    **dict.fromkeys(("eval_loss", "pr_pre", "pr_post"), pl.Float64),
    RUNS: RUNS_TYPE,
}


def _build(aggregates: Aggregates) -> pl.DataFrame:
    curves = [_curve(name, runs[0]) for name, runs in baselines(aggregates).items()]
    return pl.concat([pl.DataFrame(schema=_SCHEMA), *curves]).fill_nan(None)


def _curve(name: str, run: Run) -> pl.DataFrame:
    steps_S = run.grid("pr_pre").steps_S
    over_layers = {metric: run.grid(metric).values_SL.mean(axis=1) for metric in ("pr_pre", "pr_post")}
    base = BASELINE["base"] if run.row["base"] == BASELINE["base"] else "other bases"
    measured = pl.DataFrame({"step": steps_S, "eval_loss": run.eval_loss_at(steps_S), **over_layers})
    known = [pl.lit(base).alias("base"), pl.lit(name).alias("model")]
    return measured.select(*known, pl.all(), pl.concat_list(pl.lit(run.row["name"])).alias(RUNS)).cast(_SCHEMA)


BASELINES = Table(
    id="baselines",
    title="The baselines over training",
    caption=(
        "Probe eval loss, and the participation ratio before and after the nonlinearity (mean over layers), of each "
        "baseline at every measured step, under the names of metrics.json; `dvc plots show` draws it. " + SEEDS
    ),
    columns=(),
    build=_build,
)
