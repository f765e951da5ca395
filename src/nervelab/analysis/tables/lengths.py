"""What the length of a training does: the models that are trained by both recipes, side by side."""

from __future__ import annotations

from typing import Any

import polars as pl

from nervelab.aggregates.find import LONG, SHORT_RECIPE, Aggregates
from nervelab.aggregates.run import names
from nervelab.aggregates.window import final
from nervelab.analysis.baselines import NAMED
from nervelab.analysis.tables.table import METRIC_COLUMNS, RUNS, RUNS_TYPE, Column, Table
from nervelab.paper.architectures import BASELINE, BY_PLACEMENT, LONG_WIDTHS, Model
from nervelab.words.runs import named, outcome

_METRICS = tuple(column.name for column in METRIC_COLUMNS)
_SCHEMA = {
    **dict.fromkeys(("model", "recipe"), pl.String),
    **dict.fromkeys(("steps", "seeds"), pl.Int64),
    **dict.fromkeys(("eval_loss", *_METRICS), pl.Float64),
    "state": pl.String,
    RUNS: RUNS_TYPE,
}


def _models() -> list[Model]:
    wide = [{**model, "width_multiple": width} for model in BY_PLACEMENT.values() for width in LONG_WIDTHS]
    plain = [{key: value for key, value in model.items() if key != "recipe"} for model in NAMED.values()]
    return plain + [model for model in wide if model["width_multiple"] != BASELINE["width_multiple"]]


def _rows(aggregates: Aggregates, model: Model) -> list[dict[str, Any]]:
    """A row a recipe; none where the model is not trained by both, or by both in the same way."""
    found = {recipe: aggregates.find_seeds(**model, recipe=recipe) for recipe in (SHORT_RECIPE["recipe"], LONG)}
    if not all(found.values()) or len({runs[0].row["name"] for runs in found.values()}) == 1:
        return []
    rows = []
    for recipe, runs in found.items():
        row = {"model": named(model), "recipe": recipe, "steps": runs[0].row["steps"], "seeds": len(runs)}
        finished = [run for run in runs if not run.failed]
        if finished:
            row["eval_loss"] = pl.Series([run.row["eval_loss"] for run in finished]).mean()
            row |= {metric: pl.Series([final(run, metric).mean() for run in finished]).mean() for metric in _METRICS}
        rows.append(row | {"state": outcome(runs), RUNS: list(names(runs))})
    return rows


def _build(aggregates: Aggregates) -> pl.DataFrame:
    return pl.DataFrame([row for model in _models() for row in _rows(aggregates, model)], schema=_SCHEMA)


def _remark(frame: pl.DataFrame) -> str:
    """By how much the loss still falls."""
    losses = frame.pivot("recipe", index="model", values="eval_loss").drop_nulls() if frame.height else frame
    if losses.is_empty():
        return ""
    falls = [short - long for short, long in losses.select(SHORT_RECIPE["recipe"], LONG).iter_rows()]
    return (
        f"The short recipe ends before its models have settled: the long one ends {min(falls):.2f} to {max(falls):.2f} "
        "nats lower."
    )


LENGTHS = Table(
    id="lengths",
    title="What the length of a training does",
    caption=(
        "The models that are trained by both recipes: means over the seeds that finished, metrics after training "
        "averaged over layers. Models are compared within a recipe, never across."
    ),
    columns=(
        Column("model", "model"),
        Column("recipe", "recipe"),
        Column("steps", "steps", grouped=True),
        Column("seeds", "seeds"),
        Column("eval_loss", "final eval loss (nats)", digits=3),
        *METRIC_COLUMNS,
        Column("state", "outcome"),
    ),
    build=_build,
    remark=_remark,
    absent="No model is trained by two recipes at this scale.",
)
