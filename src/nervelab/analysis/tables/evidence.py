"""The data behind every verdict: what was measured, what is compared, and how far seeds lie apart."""

from __future__ import annotations

import math
from typing import Any

import polars as pl

from nervelab.aggregates.find import SHORT_RECIPE, Aggregates
from nervelab.analysis.borrowed import EVERYWHERE
from nervelab.analysis.compare import Noise, seed_noise, seed_noise_everywhere
from nervelab.analysis.quantities import EVAL_LOSS, Quantity, all_quantities
from nervelab.analysis.tables.table import RUNS, RUNS_TYPE, Column, Table
from nervelab.statistics.spread import Prior
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
    quantities = all_quantities(aggregates)
    rows = [_noise_row(each, aggregates.recipe, seed_noise(aggregates, each)) for each in quantities]
    for each in quantities:
        row = _noise_row(each, SHORT_RECIPE["recipe"], seed_noise(aggregates, each, **SHORT_RECIPE))
        rows.append(row | {"quantity": f"{each.id}_short", "name": f"{each.name}, short recipe"})
    everywhere = _noise_row(EVAL_LOSS, EVERYWHERE, seed_noise_everywhere(aggregates, EVAL_LOSS))
    rows.append(
        everywhere | {"quantity": "eval_loss_everywhere", "name": f"{EVAL_LOSS.name}, every base and optimiser"}
    )
    return pl.DataFrame(rows, schema=_NOISE_SCHEMA)


_OF_PAIRS = ("deviation_of_pairs", "strength_of_pairs", "degrees_of_freedom_of_pairs", "pairs", "relative_of_pairs")
_OF_MODELS = ("deviation", "strength", "degrees_of_freedom", "models", "relative")
_NOISE_SCHEMA = {
    **dict.fromkeys(("quantity", "name", "unit", "compared_by", "of", "kind"), pl.String),
    **dict.fromkeys((*_OF_MODELS, *_OF_PAIRS), pl.Float64),
    **dict.fromkeys(("models", "pairs"), pl.Int64),
    "between_two_runs": pl.Float64,
    "assumed_from": pl.String,
    RUNS: RUNS_TYPE,
}


def _noise_row(quantity: Quantity, kind: str, noise: Noise | None) -> dict[str, Any]:
    row = {
        "quantity": quantity.id,
        "name": quantity.name,
        "unit": "" if quantity.by_ratio else quantity.unit,
        "compared_by": "ratio" if quantity.by_ratio else "difference",
        "of": quantity.id,
        "kind": kind,
    }
    if noise is None:
        return row | {RUNS: []}
    row |= zip(_OF_MODELS, _spread(noise.models, noise.size), strict=True)
    single = noise.spread.less(noise.spread, noise.models.all_freedom)
    row |= {"between_two_runs": single.half_width(1, noise.confidence), RUNS: noise.runs}
    if noise.pairs is not None:
        row |= zip(_OF_PAIRS, _spread(noise.pairs, noise.size), strict=True)
    return row | {"assumed_from": noise.assumed_from or None}


def _spread(of: Prior, size: float) -> tuple[float | None, ...]:
    """What `_OF_MODELS` names, of models or pairs."""
    deviation = math.sqrt(of.variance)
    return deviation, of.freedom, of.all_freedom, of.groups, math.sqrt(of.pooled) / size if size else None


def _of_another_scale(frame: pl.DataFrame) -> str:
    """Whose noise it is, where it is not that of these runs."""
    scales = frame["assumed_from"].drop_nulls().unique(maintain_order=True).to_list()
    return "".join(
        f"Noise ASSUMED: no model of this scale has two seeds, and the relative noise of the {scale} scale stands in."
        for scale in scales
    )


NOISE = Table(
    id="seed-noise",
    title="Seed noise: how far two trainings lie apart that differ in nothing but their seed",
    caption=(
        "What the AdamW models of the base gpt2-codeparrot that a recipe trains on several seeds (failed runs left "
        "out; the last line: all bases and optimisers) say of the standard deviation of each quantity over seeds, of "
        "its natural logarithm where models are compared by ratios. Models differ in their noise. Centre: the "
        "deviation that is expected of a model of which no seeds are known, below the mean of all where few are "
        "noisy (Smyth 2004). The variance of a model is the mean of its own, with n − 1 degrees of freedom, and of "
        "the centre's, with as many as its strength, and no more than the degrees of freedom of all. Pairs: likewise "
        "of the difference of two models on the same seeds and batches, seed by seed. Two runs on different seeds of "
        "models of which no other seeds are known must differ by more than the last column before the difference "
        "exceeds seed noise at the {confidence} level."
    ),
    columns=(
        Column("name", "quantity"),
        Column("unit", "unit"),
        Column("compared_by", "compared by"),
        Column("deviation", "centre", significant=True),
        Column("strength", "strength", digits=1),
        Column("degrees_of_freedom", "degrees of freedom", digits=0),
        Column("models", "models"),
        Column("deviation_of_pairs", "centre, pairs", significant=True),
        Column("strength_of_pairs", "strength, pairs", digits=1),
        Column("degrees_of_freedom_of_pairs", "degrees of freedom, pairs", digits=0),
        Column("between_two_runs", "least difference of two runs", significant=True),
    ),
    build=_noise,
    remark=_of_another_scale,
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
