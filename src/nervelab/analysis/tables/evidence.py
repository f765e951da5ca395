"""The data behind every verdict: what was measured, what is compared, and how far seeds lie apart."""

from __future__ import annotations

from typing import Any

import polars as pl

from nervelab.aggregates.find import SHORT_RECIPE, Aggregates
from nervelab.analysis.compare import Noise, seed_noise, seed_noise_everywhere
from nervelab.analysis.quantities import EVAL_LOSS, Quantity, all_quantities
from nervelab.analysis.tables.table import RUNS, RUNS_TYPE, Column, Table
from nervelab.words.runs import run_named

_IDENTITY = (
    "name",
    "base",
    "placement",
    "activation",
    "width_multiple",
    "optimiser",
    "seed",
    "outcome",
    "eval_accuracy",
)


def _measurements(aggregates: Aggregates) -> pl.DataFrame:
    losses = aggregates.history.select("name", "step", "eval_loss")
    rows = aggregates.spectra.join(losses, on=["name", "step"], how="left", maintain_order="left")
    return rows.with_columns(pl.concat_list("name").alias(RUNS))


def _quantities(aggregates: Aggregates) -> pl.DataFrame:
    quantities = all_quantities(aggregates)
    rows = [
        {key: run.row[key] for key in _IDENTITY if key in run.row}
        | {"model": run_named(run.row)}
        | {quantity.id: quantity.of(run) for quantity in quantities}
        | {RUNS: [run.row["name"]]}
        for run in aggregates.all_runs()
    ]
    types = {quantity.id: pl.Float64 for quantity in quantities} | {RUNS: RUNS_TYPE}
    return pl.DataFrame(rows, schema_overrides=types, infer_schema_length=None)


def _noise(aggregates: Aggregates) -> pl.DataFrame:
    schema = {
        **dict.fromkeys(("quantity", "name", "unit", "compared_by"), pl.String),
        "deviation": pl.Float64,
        **dict.fromkeys(("degrees_of_freedom", "models"), pl.Int64),
        **dict.fromkeys(("between_two_runs", "between_two_means_of_three"), pl.Float64),
        RUNS: RUNS_TYPE,
    }
    quantities = all_quantities(aggregates)
    rows = [_noise_row(each, seed_noise(aggregates, each)) for each in quantities]
    for each in quantities:
        row = _noise_row(each, seed_noise(aggregates, each, **SHORT_RECIPE))
        rows.append(row | {"quantity": f"{each.id}_short", "name": f"{each.name}, short recipe"})
    everywhere = _noise_row(EVAL_LOSS, seed_noise_everywhere(aggregates, EVAL_LOSS))
    rows.append(
        everywhere | {"quantity": "eval_loss_everywhere", "name": f"{EVAL_LOSS.name}, every base and optimiser"}
    )
    return pl.DataFrame(rows, schema=schema)


def _noise_row(quantity: Quantity, noise: Noise | None) -> dict[str, Any]:
    row = {
        "quantity": quantity.id,
        "name": quantity.name,
        "unit": "" if quantity.by_ratio else quantity.unit,
        "compared_by": "ratio" if quantity.by_ratio else "difference",
    }
    if noise is None:
        return row | {RUNS: []}
    return row | {
        "deviation": noise.spread.deviation,
        "degrees_of_freedom": noise.spread.freedom,
        "models": noise.spread.groups,
        "between_two_runs": noise.half_width(2),
        "between_two_means_of_three": noise.half_width(2 / 3),
        RUNS: noise.runs,
    }


NOISE = Table(
    id="seed-noise",
    title="Seed noise: how far two trainings lie apart that differ in nothing but their seed",
    caption=(
        "Standard deviation of each quantity over seeds, pooled over every AdamW model of the base gpt2-codeparrot "
        "that a recipe trains on several (failed runs left out; the last line: over all bases and optimisers); of its "
        "natural logarithm where models are compared by ratios. Two runs, or two means of three seeds, must differ by "
        "more than the last columns before the difference exceeds seed noise at the {confidence} level (Student's t "
        "times the deviation times the square root of 2, or of 2/3)."
    ),
    columns=(
        Column("name", "quantity"),
        Column("unit", "unit"),
        Column("compared_by", "compared by"),
        Column("deviation", "deviation", significant=True),
        Column("degrees_of_freedom", "degrees of freedom"),
        Column("models", "models"),
        Column("between_two_runs", "least difference of two runs", significant=True),
        Column("between_two_means_of_three", "of two means of three", significant=True),
    ),
    build=_noise,
)

QUANTITIES_BY_RUN = Table(
    id="quantities",
    title="What runs are compared by, run by run",
    caption=(
        "One row a run, one column a quantity (their names are those of the table of seed noise; eval_accuracy is a "
        "Mixer's); empty for a failed run. Runs of one `model` differ in their seed alone. adafactor is torch's, not "
        "Hugging Face's. Every interval by seed noise is made of this table and that of seed noise."
    ),
    columns=(),
    build=_quantities,
)

MEASUREMENTS = Table(
    id="measurements",
    title="Everything that was measured, by run, step and layer",
    caption=(
        "All metrics of every FFN at every measured step under each estimator, with the probe eval loss at that "
        "step; layers count from 0. All tables, figures and findings are made of it and of the final eval losses."
    ),
    columns=(),
    build=_measurements,
)
