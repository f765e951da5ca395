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
    """The versions, the hardware, the commit and the hash of params.yaml, as dotted names and values."""
    keys = ("git", "params_sha256", "versions", "hardware")
    return [pair for key in keys if key in provenance for pair in _flat(key, provenance[key])]


def _flat(name: str, value: Any) -> list[tuple[str, str]]:
    if isinstance(value, dict):
        return [pair for key, inner in sorted(value.items()) for pair in _flat(f"{name}.{key}", inner)]
    if isinstance(value, list):
        return [(name, ", ".join(map(str, value)))]
    return [(name, {None: "unknown", True: "yes", False: "no"}.get(value, str(value)))]
