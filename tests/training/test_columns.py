"""What the trainer writes is what polars would have made of the same rows: the same types, the same values."""

from __future__ import annotations

import io
import math
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nervelab.training import columns
from nervelab.training.artefacts import SCHEMAS, Rows

KINDS = {
    pa.int64(): (pl.Int64, st.integers(-(2**63), 2**63 - 1)),
    pa.float64(): (pl.Float64, st.floats()),
    pa.string(): (pl.String, st.text()),
    pa.list_(pa.float64()): (pl.List(pl.Float64), st.lists(st.floats(), max_size=5)),
    pa.list_(pa.int64()): (pl.List(pl.Int64), st.lists(st.integers(-(2**63), 2**63 - 1), max_size=5)),
}


def as_read(table: pa.Table) -> pl.DataFrame:
    """Through a file, as the readers of a run get it."""
    table.validate(full=True)
    content = io.BytesIO()
    pq.write_table(table, content, compression="zstd")
    return pl.read_parquet(content.getvalue())


@pytest.mark.parametrize("table", SCHEMAS)
def test_an_empty_table_has_the_types_of_a_full_one(table: str) -> None:
    found = as_read(Rows().table(table))
    assert found.height == 0
    assert dict(found.schema) == {name: KINDS[kind][0] for name, kind in SCHEMAS[table].items()}


@pytest.mark.parametrize("kind", KINDS, ids=str)
@settings(deadline=None)
@given(data=st.data())
def test_each_kind_of_column_holds_what_was_given(kind: pa.DataType, data: st.DataObject) -> None:
    wanted, values = KINDS[kind]
    given_values = data.draw(st.lists(st.none() | values, max_size=20))
    found = as_read(columns.table({"x": given_values}, {"x": kind}))
    expected = pl.DataFrame({"x": given_values}, schema={"x": wanted})
    assert found.schema == expected.schema
    assert found.equals(expected, null_equal=True)


def test_tensors_become_lists_and_whole_numbers_floats() -> None:
    rows = Rows()
    key = {"step": 1, "layer": 0, "group": "all", "estimator": "full"}
    values = torch.tensor([2.0, math.nan], dtype=torch.float64)
    rows.add("eigenvalues", **key, eigenvalues_pre=values, eigenvalues_post=[2, 1])
    (row,) = as_read(rows.table("eigenvalues")).rows()
    assert row[:4] == (1, 0, "all", "full")
    assert row[4][0] == 2.0
    assert math.isnan(row[4][1])
    assert row[5] == [2.0, 1.0]


@pytest.mark.parametrize("values", [[1.5], [[1.5]], ["a"]])
def test_no_number_is_cut_to_fit(values: list[Any]) -> None:
    kind = pa.list_(pa.int64()) if isinstance(values[0], list) else pa.int64()
    with pytest.raises(TypeError):
        columns.table({"x": values}, {"x": kind})
