"""What differs first between a kept table and one that was made again."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl


@dataclass(frozen=True)
class Tolerance:
    """How far a number may lie from the kept one: `relative` times that, or `floor` times the largest beside it.

    Beside it are the other values of its list, or of its column. Both 0: bitwise.
    """

    relative: float = 0.0
    floor: float = 0.0

    def allows(self, kept: Any, made: Any) -> bool:
        """Whether a number, or anything else, may stand for the kept one."""
        if isinstance(kept, float) and isinstance(made, float):
            return bool(_close(np.array([kept]), np.array([made]), self)[0])
        return kept == made


BITWISE = Tolerance()
# On another processor, torch or number of threads. Of a finished model measured again, the sums of a float32 forward
# are added up in another order; over the steps of a replay such differences grow.
RECOMPUTED = Tolerance(relative=1e-3, floor=1e-5)
REPLAYED = Tolerance(relative=2e-2, floor=1e-4)


def first_difference(
    kept: pl.DataFrame, made: pl.DataFrame, keys: Sequence[str], tolerance: Tolerance, later: Collection[str] = ()
) -> str | None:
    """A column that one of two tables lacks, or where the first row lies that differs, and how; None if none does.

    Args:
        kept, made: tables with the same rows, in the same order.
        keys: the columns that name a row; they have to be equal.
        tolerance: of columns of floats, and of lists of floats.
        later: columns that one of them may lack, and that are compared where both have them.
    """
    lacking = [name for name in (*kept.columns, *made.columns) if (name in kept.columns) != (name in made.columns)]
    for name in lacking:
        if name not in later:
            return f"the column {name} is {'kept, and not made' if name in kept.columns else 'made, and was not kept'}"
    if not kept.select(keys).equals(made.select(keys)):
        return f"{kept.height} rows kept, {made.height} made, or of other {', '.join(keys)}"
    found = []
    for order, column in enumerate(name for name in kept.columns if name in made.columns and name not in keys):
        row = _first_row(kept[column], made[column], tolerance)
        if row is not None:
            found.append((row, order, column))
    if not found:
        return None
    row, _, column = min(found)
    place = ", ".join(f"{key} {kept[key][row]}" for key in keys)
    return f"{column} at {place}: {_values(kept[column][row], made[column][row], tolerance)}"


def _first_row(kept: pl.Series, made: pl.Series, tolerance: Tolerance) -> int | None:
    """The first row in which two columns differ."""
    if kept.dtype != made.dtype:
        return 0
    if kept.dtype == pl.List:
        pairs = zip(kept, made, strict=True)
        return next((row for row, (a, b) in enumerate(pairs) if _first_place(a, b, tolerance) is not None), None)
    same = kept.eq_missing(made)
    if kept.dtype.is_float():
        close = pl.Series(_close(kept.to_numpy(), made.to_numpy(), tolerance))
        same = same | (close & kept.is_not_null() & made.is_not_null())
    return None if same.all() else same.arg_min()


def _first_place(kept: pl.Series | None, made: pl.Series | None, tolerance: Tolerance) -> int | None:
    """The first place in which two lists differ."""
    if kept is None or made is None or len(kept) != len(made):
        return None if kept is None and made is None else 0
    return _first_row(kept, made, tolerance) if len(kept) else None


def _close(kept: np.ndarray, made: np.ndarray, tolerance: Tolerance) -> np.ndarray:
    finite = np.abs(kept[np.isfinite(kept)])
    floor = tolerance.floor * finite.max() if finite.size else 0.0
    return np.isclose(made, kept, rtol=tolerance.relative, atol=floor, equal_nan=True)


def _values(kept: Any, made: Any, tolerance: Tolerance) -> str:
    if isinstance(kept, pl.Series) and isinstance(made, pl.Series):
        if len(kept) != len(made):
            return f"{len(kept)} values kept, {len(made)} made"
        place = _first_place(kept, made, tolerance)
        return f"value {place + 1} is {kept[place]!r} kept, {made[place]!r} made"
    return f"{kept!r} kept, {made!r} made"
