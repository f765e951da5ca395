"""The first difference of two tables, against a search cell by cell."""

from __future__ import annotations

import math

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nervelab.adoption.compare import BITWISE, Tolerance, first_difference

NUMBERS = st.sampled_from([0.0, 1.0, -2.5, 1e-300, math.nan, math.inf, None])
ROWS = st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=6)


def table(rows: list[tuple]) -> pl.DataFrame:
    columns = list(zip(*rows, strict=True))
    schema = {"a": pl.Float64, "b": pl.Float64}
    return pl.DataFrame(dict(zip("ab", columns, strict=True)), schema=schema).with_row_index("step")


def same(kept: float | None, made: float | None) -> bool:
    both_nan = kept is not None and made is not None and math.isnan(kept) and math.isnan(made)
    return both_nan or kept == made


@given(ROWS, st.data())
def test_the_first_cell_that_differs_is_named(rows: list[tuple], data: st.DataObject):
    other = data.draw(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=len(rows), max_size=len(rows)))
    cells = [
        (row, column)
        for row, pair in enumerate(zip(rows, other, strict=True))
        for column in (0, 1)
        if not same(pair[0][column], pair[1][column])
    ]
    said = first_difference(table(rows), table(other), ("step",), BITWISE)
    if not cells:
        assert said is None
    else:
        row, column = cells[0]
        assert said == f"{'ab'[column]} at step {row}: {rows[row][column]!r} kept, {other[row][column]!r} made"


def test_a_list_is_compared_value_by_value_and_the_place_is_said():
    kept = pl.DataFrame({"step": [0, 5], "values": [[1.0], [1.0, 2.0]]})
    made = pl.DataFrame({"step": [0, 5], "values": [[1.0], [1.0, 2.5]]})
    assert first_difference(kept, kept, ("step",), BITWISE) is None
    assert first_difference(kept, made, ("step",), BITWISE) == "values at step 5: value 2 is 2.0 kept, 2.5 made"
    shorter = pl.DataFrame({"step": [0, 5], "values": [[1.0], [1.0]]})
    assert first_difference(kept, shorter, ("step",), BITWISE) == "values at step 5: 2 values kept, 1 made"


@pytest.mark.parametrize(
    ("made", "differs"),
    [([1.0009, 0.0], False), ([1.0011, 0.0], True), ([1.0, 9e-5], False), ([1.0, 1.1e-4], True)],
    ids=["inside its share", "outside", "small beside the largest", "not small"],
)
def test_a_tolerance_is_a_share_of_the_kept_value_or_of_the_largest_beside_it(made: list[float], differs: bool):
    tolerance = Tolerance(relative=9.5e-4, floor=1e-4)
    columns = (pl.DataFrame({"step": [1, 2], "loss": values}) for values in ([1.0, 0.0], made))
    lists = (pl.DataFrame({"step": [1], "eigenvalues": [values]}) for values in ([1.0, 0.0], made))
    for tables in (columns, lists):
        assert (first_difference(*tables, ("step",), tolerance) is not None) is differs


def test_a_difference_of_one_bit_is_one():
    tables = (pl.DataFrame({"step": [1], "loss": [value]}) for value in (1.0, math.nextafter(1.0, 2.0)))
    assert first_difference(*tables, ("step",), BITWISE) == "loss at step 1: 1.0 kept, 1.0000000000000002 made"


def test_columns_and_rows_that_only_one_has_are_told():
    kept = pl.DataFrame({"step": [0, 5], "loss": [3.0, 2.0]})
    more = kept.with_columns(more=pl.lit(1.0))
    assert first_difference(kept, more, ("step",), BITWISE) == "the column more is made, and was not kept"
    assert first_difference(more, kept, ("step",), BITWISE) == "the column more is kept, and not made"
    assert first_difference(kept, more, ("step",), BITWISE, later=("more",)) is None
    assert first_difference(kept, kept.head(1), ("step",), BITWISE) == "2 rows kept, 1 made, or of other step"
