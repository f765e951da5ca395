"""Numbers as readers see them, the same in HTML and in Markdown."""

from __future__ import annotations

import math
import re

THIN = "\u202f"  # a narrow space that does not break
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


def with_minus(text: str) -> str:
    """The text with a true minus sign before each negative number."""
    return re.sub(r"(?<![\w)])-(?=\d)", _MINUS, text)


def in_markdown(text: str) -> str:
    """Text that keeps to its cell in a Markdown table."""
    return text.replace("|", r"\|")


def as_printed(value: float | None, digits: int | None, *, signed: bool = False) -> str | None:
    """A number in a cell: with these decimal places, or with as many as the paper prints if `digits` is None."""
    if value is None or not math.isfinite(value):
        return None
    text = f"{value:{'+' if signed else ''}{'' if digits is None else f'.{digits}f'}}"
    return text.removesuffix(".0").replace("-", "−") if digits is None else text.replace("-", "−")


def thousands(value: int) -> str:
    """A count with thin thousands separators."""
    return f"{value:,}".replace(",", THIN)
