"""Columns of Arrow tables, from lists: as `pa.array`, which would first import pandas where that is installed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa


def table(columns: dict[str, list[Any]], schema: dict[str, pa.DataType]) -> pa.Table:
    """Columns of numbers, of text, or of lists of numbers, with None where there is nothing, as a table.

    Raises:
        TypeError: a number does not fit the type of its column.
    """
    arrays = [_column(columns[name], kind) for name, kind in schema.items()]
    return pa.Table.from_arrays(arrays, schema=pa.schema(schema))


def _column(values: list[Any], kind: pa.DataType) -> pa.Array:
    valid = np.array([each is not None for each in values], dtype=bool)
    present = pa.py_buffer(np.packbits(valid, bitorder="little"))
    if pa.types.is_list(kind):
        parts = [_numbers([] if each is None else each, kind.value_type) for each in values]
        items = np.concatenate([_numbers([], kind.value_type), *parts])
        child = pa.Array.from_buffers(kind.value_type, len(items), [None, pa.py_buffer(items)])
        return pa.Array.from_buffers(kind, len(values), [present, _offsets(parts)], children=[child])
    if pa.types.is_string(kind):
        words = [(each or "").encode() for each in values]
        return pa.Array.from_buffers(kind, len(values), [present, _offsets(words), pa.py_buffer(b"".join(words))])
    numbers = _numbers([0 if each is None else each for each in values], kind)
    return pa.Array.from_buffers(kind, len(values), [present, pa.py_buffer(numbers)])


def _numbers(values: Sequence[float], kind: pa.DataType) -> np.ndarray:
    return (np.asarray(values) if len(values) else np.empty(0, bool)).astype(kind.to_pandas_dtype(), casting="safe")


def _offsets(parts: Sequence[Any]) -> pa.Buffer:
    return pa.py_buffer(np.cumsum([0, *map(len, parts)], dtype=np.int32))
