"""The only part of the page that may differ between two executions of the same runs."""

from __future__ import annotations

from typing import Any

import polars as pl

from nervelab.aggregates.estimated import Fidelity
from nervelab.paper import printed as paper
from nervelab.words import numbers as shown
from nervelab.words.labels import estimator_named

TABLE_10 = "table-10-seconds"
EVERY = (200, 1000)
_NUMBERS = (
    "moments_seconds",
    "solve_seconds",
    "paper_seconds",
    *(f"{who}every_{n}" for n in EVERY for who in ("paper_", "")),
)
_LOGGING = dict.fromkeys(("estimator", "words"), pl.String) | dict.fromkeys(_NUMBERS, pl.Float64)


def timings(timing: pl.DataFrame) -> list[dict[str, str]]:
    """Seconds that each run spent training and measuring, from timing.parquet (cumulative by step)."""
    last = timing.group_by("name", maintain_order=True).agg(pl.col("train_seconds", "measure_seconds").last())
    return [
        {
            "name": row["name"],
            "train": shown.number(row["train_seconds"], 1),
            "measure": shown.number(row["measure_seconds"], 1),
            "overhead": shown.percent(_ratio(row["measure_seconds"], row["train_seconds"])),
        }
        for row in last.iter_rows(named=True)
    ]


def logging_step(seconds: pl.DataFrame, timing: pl.DataFrame, measured: Fidelity | None) -> pl.DataFrame:
    """Table 10: the seconds of a logging step by each estimator, and the overhead of logging every so many steps.

    Args:
        seconds: estimators.parquet.
        timing: timing.parquet (cumulative by step).
        measured: the run that was measured by several estimators, if there is one.

    Returns:
        A row for each estimator, the paper's numbers beside the measured ones.
    """
    if measured is None or not measured.comparable:
        return pl.DataFrame(schema=_LOGGING)
    run = measured.full.row
    mine = pl.col("name") == run["name"]
    step_seconds = timing.filter(mine)["train_seconds"].max() / run["stopped_at"]
    printed = {row["estimator"]: row for row in paper.rows(TABLE_10)}
    rows = []
    for name, moments, solve in (
        seconds.filter(mine)
        .group_by("estimator", maintain_order=True)
        .agg(pl.col("moments_seconds", "solve_seconds").mean())
        .iter_rows()
    ):
        row = {"estimator": name, "words": estimator_named(name), "moments_seconds": moments, "solve_seconds": solve}
        theirs = printed.get(name, {})
        row["paper_seconds"] = theirs.get("seconds")
        for every in EVERY:
            row[f"paper_every_{every}"] = theirs.get(f"every_{every}")
            row[f"every_{every}"] = 100 * (moments + solve) / (every * step_seconds)
        rows.append(row)
    return pl.DataFrame(rows, schema=_LOGGING)


def shown_logging_step(seconds: pl.DataFrame) -> list[list[str]]:
    """The rows of `logging_step` as a reader sees them: milliseconds here, seconds in the paper."""
    return [
        [
            row["words"],
            shown.number(row["paper_seconds"], 2),
            shown.number(1000 * row["moments_seconds"], 1),
            shown.number(1000 * row["solve_seconds"], 1),
            *(shown.number(row[f"{who}every_{every}"], 2) for every in EVERY for who in ("paper_", "")),
        ]
        for row in seconds.iter_rows(named=True)
    ]


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def environment(provenance: dict[str, Any]) -> list[tuple[str, str]]:
    """The versions, the hardware, the commit and the hashes of params.yaml and config/, as dotted names and values."""
    keys = ("git", "params_sha256", "versions", "hardware")
    return [pair for key in keys if key in provenance for pair in _flat(key, provenance[key])]


def _flat(name: str, value: Any) -> list[tuple[str, str]]:
    if isinstance(value, dict):
        return [pair for key, inner in sorted(value.items()) for pair in _flat(f"{name}.{key}", inner)]
    if isinstance(value, list):
        return [(name, ", ".join(map(str, value)))]
    return [(name, {None: "unknown", True: "yes", False: "no"}.get(value, str(value)))]
