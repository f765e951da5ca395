"""What a table of the report is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from nervelab.analysis.aggregates import Aggregates
from nervelab.study.decisions import Analysis


@dataclass(frozen=True)
class Column:
    """A column as readers see it.

    Attributes:
        name: the column of the table's frame.
        heading: its heading on the page.
        digits: decimal places of a number; None for words and whole numbers.
        interval: whether the frame holds an interval beside it, in `<name>_low` and `<name>_high`.
        signed: whether the sign is shown for positive numbers too.
    """

    name: str
    heading: str
    digits: int | None = None
    interval: bool = False
    signed: bool = False


@dataclass(frozen=True)
class Table:
    """A table: all of its frame is written to results/tables/<id>.csv, `columns` of it are shown.

    Attributes:
        id: name of the file.
        title: one line.
        caption: what is seen; may use the names of `words.facts` in braces.
        columns: what is shown, the columns to compare first.
        build: makes the frame.
        remark: a sentence or two made from the frame and the scale; empty if there is nothing to say.
    """

    id: str
    title: str
    caption: str
    columns: tuple[Column, ...]
    build: Callable[[Aggregates, Analysis], pl.DataFrame]
    remark: Callable[[pl.DataFrame, str], str] = lambda frame, scale: ""
