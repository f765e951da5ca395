"""The only part of the page that may differ between two executions of the same runs."""

from __future__ import annotations

from typing import Any

import polars as pl

from nervelab.report import format as shown


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


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def environment(provenance: dict[str, Any]) -> list[tuple[str, str]]:
    """The versions and the hardware of provenance.json as dotted names and values."""
    return [pair for key in ("versions", "hardware") for pair in _flat(key, provenance.get(key, {}))]


def _flat(name: str, value: Any) -> list[tuple[str, str]]:
    if not isinstance(value, dict):
        return [(name, str(value))]
    return [pair for key, inner in sorted(value.items()) for pair in _flat(f"{name}.{key}", inner)]
