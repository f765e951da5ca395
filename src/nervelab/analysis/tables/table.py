"""What a table of the report is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import polars as pl

from nervelab.aggregates.find import Aggregates
from nervelab.words.metrics import METRICS, SPECTRAL, heading
from nervelab.words.numbers import MISSING, number, significant, whole


@dataclass(frozen=True)
class Column:
    """A column as readers see it.

    Attributes:
        name: the column of the table's frame.
        heading: its heading on the page.
        digits: decimal places of a number; None for words and whole numbers.
        interval: whether the frame holds an interval beside it, in `<name>_low` and `<name>_high`.
        signed: whether the sign is shown for positive numbers too.
        significant: show three significant digits, for numbers of different sizes in one column.
        grouped: separate the thousands of a count.
    """

    name: str
    heading: str
    digits: int | None = None
    interval: bool = False
    signed: bool = False
    significant: bool = False
    grouped: bool = False


RUNS = "runs"
"""Of a frame as it is built: the names of the runs that were looked up for a row. They are traced by, not written."""
RUNS_TYPE = pl.List(pl.String)


def _metric_columns() -> Iterator[Column]:
    for metric in METRICS:
        for column in metric.columns:
            digits = None if metric.significant else metric.digits
            yield Column(column, heading(column), digits=digits, significant=metric.significant)
        if metric is SPECTRAL["pr"]:
            yield Column("pr_gain", "PR gain", digits=2)


METRIC_COLUMNS = tuple(_metric_columns())
"""The metrics of a model, side by side."""


@dataclass(frozen=True)
class Table:
    """A table: all of its frame is written to results/tables/<id>.csv, `columns` of it are shown.

    A table without columns is data for whoever wants to compute further; the page only names its file.

    Attributes:
        id: name of the file.
        title: one line.
        caption: what is seen; may use the names of `facts` in braces.
        columns: what is shown, the columns to compare first.
        build: makes the frame.
        remark: a sentence or two made from the frame; empty if there is nothing to say.
        arrange: makes the rows that are shown from the frame.
        absent: what is said where the frame has no rows.
        across: the columns of its frame that hold a row against the others, so that no runs of its own are behind them.
        undecided: the sections of the paper whose experiment it shows and of whose claims no finding decides yet.
    """

    id: str
    title: str
    caption: str
    columns: tuple[Column, ...]
    build: Callable[[Aggregates], pl.DataFrame]
    remark: Callable[[pl.DataFrame], str] = lambda frame: ""
    arrange: Callable[[pl.DataFrame], pl.DataFrame] = lambda frame: frame
    absent: str = "No run at this scale."
    across: tuple[str, ...] = ()
    undecided: tuple[str, ...] = ()

    def traced(self, aggregates: Aggregates) -> pl.DataFrame:
        """Its frame behind the scale."""
        return self.build(aggregates).select(pl.lit(aggregates.scale).alias("scale"), pl.all())

    def written(self, aggregates: Aggregates) -> pl.DataFrame:
        """What its file holds: its frame without `RUNS`, behind the scale."""
        return self.traced(aggregates).drop(RUNS, strict=False)


def cell(row: dict[str, Any], column: Column) -> str:
    """One cell of a table."""
    value = row[column.name]
    if value is None:
        return MISSING
    if column.grouped:
        return whole(value)
    if column.significant:
        return significant(value, signed=column.signed)
    if column.digits is None:
        return str(value)
    text = number(value, column.digits, signed=column.signed)
    low, high = (row.get(f"{column.name}_{end}") for end in ("low", "high"))
    if not column.interval or low is None or high is None:
        return text
    ends = (number(end, column.digits, signed=column.signed) for end in (low, high))
    return f"{text} [{', '.join(ends)}]"
