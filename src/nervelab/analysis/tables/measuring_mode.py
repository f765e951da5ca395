"""The same trainings, measured in eval mode and as they compute: what dropout and half precision do to the metrics."""

from __future__ import annotations

import polars as pl

from nervelab.aggregates.find import Aggregates
from nervelab.aggregates.run import Run, names
from nervelab.analysis.tables.table import METRIC_COLUMNS, RUNS, RUNS_TYPE, Column, Table
from nervelab.files import canonical_json
from nervelab.words.labels import MEASURING_MODES
from nervelab.words.metrics import COLUMNS
from nervelab.words.numbers import THIN, as_printed
from nervelab.words.runs import outcome, run_named

_DIGITS = {column: metric.digits + 1 for column, metric in COLUMNS.items()}
_COLUMNS = tuple(column for column in METRIC_COLUMNS if column.name in _DIGITS)
_KINDS = ("eval", "train", "shift", "percent")
_SCHEMA = {
    "model": pl.String,
    "seed": pl.Int64,
    **dict.fromkeys((f"{metric}_{kind}" for metric in _DIGITS for kind in _KINDS), pl.Float64),
    "state": pl.String,
    RUNS: RUNS_TYPE,
}


def _build(aggregates: Aggregates) -> pl.DataFrame:
    rows = []
    for pair in _pairs(aggregates):
        row = {"model": run_named(pair[0].row, without=("measure_mode",)), "seed": pair[0].row["seed"]}
        if not any(run.failed for run in pair):
            for metric in _DIGITS:
                row |= {f"{metric}_{kind}": value for kind, value in _shift(metric, *pair).items()}
        rows.append(row | {"state": outcome(pair), RUNS: list(names(pair))})
    return pl.DataFrame(rows, schema=_SCHEMA)


def _pairs(aggregates: Aggregates) -> list[tuple[Run, Run]]:
    """Runs that differ in nothing but the mode they were measured in: in `eval`, and in `train`."""
    alike: dict[str, dict[str, Run]] = {}
    for run in aggregates.all_runs():
        measure = {key: value for key, value in run.config["measure"].items() if key != "mode"}
        alike.setdefault(canonical_json(run.config | {"measure": measure}), {})[run.config["measure"]["mode"]] = run
    return [(runs["eval"], runs["train"]) for runs in alike.values() if set(runs) == set(MEASURING_MODES)]


def _shift(metric: str, evaluated: Run, as_trained: Run) -> dict[str, float]:
    """A metric after training, averaged over layers, in both modes, and how far it moves: as it is, and in percent."""
    before, after = (float(run.grid(metric).values_SL[-1].mean()) for run in (evaluated, as_trained))
    shift = after - before
    return {"eval": before, "train": after, "shift": shift, "percent": 100 * shift / before if before else None}


def _arrange(frame: pl.DataFrame) -> pl.DataFrame:
    """A cell for each metric: in eval mode, as trained, and the shift."""
    rows = [
        {key: row[key] for key in ("model", "seed", "state")} | {metric: _cell(row, metric) for metric in _DIGITS}
        for row in frame.to_dicts()
    ]
    columns = dict.fromkeys(("model", "state", *_DIGITS), pl.String) | {"seed": pl.Int64}
    return pl.DataFrame(rows, schema=columns)


def _cell(row: dict, metric: str) -> str | None:
    before, after, shift, percent = (row[f"{metric}_{kind}"] for kind in _KINDS)
    if before is None:
        return None
    ends = " → ".join(str(as_printed(each, _DIGITS[metric])) for each in (before, after))
    relative = "" if percent is None else f", {as_printed(percent, 2, signed=True)}{THIN}%"
    return f"{ends} ({as_printed(shift, _DIGITS[metric], signed=True)}{relative})"


def _remark(frame: pl.DataFrame) -> str:
    """The largest shift of each metric, either way."""
    said = []
    for column in _COLUMNS:
        shifts = frame[f"{column.name}_percent"].drop_nulls().to_list()
        if shifts:
            said.append(f"{column.heading} {as_printed(max(shifts, key=abs), 2, signed=True)}{THIN}%")
    return f"The largest shift of each metric: {', '.join(said)}." if said else ""


MEASURING_MODE = Table(
    id="measuring-mode",
    title="What is measured: eval mode, or training's own forward",
    caption=(
        "The hooks of the paper's release fire in the forward of training: with dropout, under its autocast. Spectra "
        "here are those of a forward of its own in eval mode and float32, unless `measure.mode` says `train`. Each row "
        "is one training, measured both ways on the same tokens: metrics after training, averaged over layers, in eval "
        "mode → as trained (the shift, also in percent)."
    ),
    columns=(
        Column("model", "model"),
        Column("seed", "seed"),
        *(Column(column.name, column.heading) for column in _COLUMNS),
        Column("state", "outcome"),
    ),
    build=_build,
    arrange=_arrange,
    remark=_remark,
    absent="On request: `make ONLY=measuring-mode`.",
)
