"""Numbers as readers see them, the same in HTML and in Markdown."""

from __future__ import annotations

import math
import re
from typing import Any

from nervelab.analysis.tables.table import Column
from nervelab.analysis.words import THIN, thousands

MISSING = "–"
_MINUS = "−"
_HUGE = 1e9


def number(value: float | None, digits: int, *, signed: bool = False) -> str:
    """Fixed decimal places, a true minus sign; a dash for what is no number, an exponent for what fills no column."""
    if value is None or not math.isfinite(value):
        return MISSING
    if abs(value) >= _HUGE:
        return significant(value, signed=signed)
    return f"{value:{'+' if signed else ''}.{digits}f}".replace("-", _MINUS)


def significant(value: float | None, *, signed: bool = False) -> str:
    """Three significant digits, trailing zeros too, no exponent for everyday sizes; a dash for what is no number."""
    if value is None or not math.isfinite(value):
        return MISSING
    return f"{value:{'+' if signed else ''}#.3g}".rstrip(".").replace("-", _MINUS)


def percent(share: float | None, *, signed: bool = False) -> str:
    """A share as a percentage; a dash for None."""
    return MISSING if share is None else number(100 * share, 0, signed=signed) + f"{THIN}%"


def between(low: float | None, high: float | None, *, signed: bool = False) -> str:
    """An interval; a dash for None."""
    if low is None or high is None:
        return MISSING
    return f"[{significant(low, signed=signed)}, {significant(high, signed=signed)}]"


def whole(value: int | None) -> str:
    """A count with thin thousands separators; a dash for None."""
    return MISSING if value is None else thousands(value)


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


def with_minus(text: str) -> str:
    """The text with a true minus sign before each negative number."""
    return re.sub(r"(?<![\w)])-(?=\d)", _MINUS, text)


def in_markdown(text: str) -> str:
    """Text that keeps to its cell in a Markdown table."""
    return text.replace("|", r"\|")
