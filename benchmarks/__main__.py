"""Runs the benchmarks on one thread, prints one table and saves it as benchmarks/results/table.csv."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is loaded: ratios are of one core

import polars as pl
import torch
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from benchmarks import activations, idle, sizes, start, step

RESULTS = Path(__file__).parent / "results"
COLUMNS = (
    "benchmark", "case", "path", "seconds", "times_reference", "times_full", "megabytes", "floor_share", "error",
    "js_error",
)  # fmt: skip


def benchmarks(*, quick: bool, rounds: int, layers: int) -> dict[str, Callable[[], Iterator[dict[str, Any]]]]:
    """The benchmarks by name."""
    few = {"layers": 1, "steps": 5, "sequences": 32} if quick else {"layers": 3, "steps": 70, "sequences": 128}
    return {
        "sizes": lambda: sizes.rows(sizes.QUICK if quick else sizes.SIZES, rounds),
        "step": lambda: step.rows(1 if quick else layers),
        "activations": lambda: activations.rows(**few),
        "idle": lambda: idle.rows(100),
        "start": lambda: start.rows(rounds),
    }


def table(found: list[dict[str, Any]]) -> Table:
    """The rows as a table for the terminal."""
    shown = Table(title="One thread; times the reference path within one interleaved run")
    for column in COLUMNS:
        shown.add_column(column.replace("_", " "), justify="left" if column in COLUMNS[:3] else "right")
    for row in found:
        shown.add_row(*(_cell(row.get(column)) for column in COLUMNS))
    return shown


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else f"{value:.3g}"


def save(found: list[dict[str, Any]], path: Path) -> None:
    """Write the rows as CSV."""
    path.parent.mkdir(exist_ok=True)
    pl.DataFrame(
        [{column: row.get(column) for column in COLUMNS} for row in found], infer_schema_length=None
    ).write_csv(path)


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*benchmarks(quick=True, rounds=1, layers=1), []], metavar="name")
    parser.add_argument("--quick", action="store_true", help="small sizes, in two minutes")
    parser.add_argument("--rounds", type=int, default=3, help="of each interleaved comparison")
    parser.add_argument("--layers", type=int, default=12, help="of the GPT-2 of the logging step")
    options = parser.parse_args()
    torch.set_num_threads(1)
    console, found = Console(width=None if sys.stdout.isatty() else 160), []
    every = benchmarks(quick=options.quick, rounds=options.rounds, layers=options.layers)
    with Progress(SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=console) as progress:
        for name in options.names or every:
            task = progress.add_task(name, total=None)
            for row in every[name]():
                found.append(row)
                progress.update(task, description=f"{name}: {row['case']}, {row['path']}")
                save(found, RESULTS / "table.csv")
            progress.update(task, total=1, completed=1)
    console.print(table(found))
    console.print(f"saved in {RESULTS / 'table.csv'}")


if __name__ == "__main__":
    main()
