"""Table 11: what a layer's second moments take, by width."""

from __future__ import annotations

import polars as pl

from nervelab.aggregates.find import Aggregates
from nervelab.analysis.tables.table import Column, Table
from nervelab.paper import printed as paper

_ID = "table-11-memory"
_MODEL_WIDTH, _TOKENS = 768, 128 * 512
_MEGABYTE = 2**20
_PACKED = 9 / 16  # the upper triangle in block rows, as spectra/products.py keeps it
_SCHEMA = {
    "width": pl.Int64,
    **dict.fromkeys(("paper_matrix", "paper_peak", "matrix", "streamed", "stored"), pl.Float64),
}


def _build(_: Aggregates) -> pl.DataFrame:
    rows = []
    for printed in paper.rows(_ID):
        width = printed["width"]
        row = {"width": width, "paper_matrix": printed["matrix"], "paper_peak": printed["peak"]}
        row["matrix"] = 4 * width**2 / _MEGABYTE
        row["streamed"] = 8 * _PACKED * (width**2 + _MODEL_WIDTH**2) / _MEGABYTE
        row["stored"] = 4 * 2 * _TOKENS * width / _MEGABYTE
        rows.append(row)
    return pl.DataFrame(rows, schema=_SCHEMA)


TABLE_11 = Table(
    id=_ID,
    title="Table 11: memory by width, a layer of GPT-2 125M, in MiB",
    caption=(
        f"Paper: {paper.source(_ID)}. Beside it, by arithmetic and not measured: one D × D float32 matrix; the "
        "streamed moments of this project (float64, the upper triangle in block rows of D × D after the "
        "nonlinearity and d × d at the FFN's input, from which the pre-activation spectrum follows), which do not "
        "grow with tokens; and the activations that have to be kept where they are not streamed, before and after "
        "the nonlinearity, for the paper's batch of 512 × 128 tokens."
    ),
    columns=(
        Column("width", "D"),
        Column("paper_matrix", "matrix, paper", digits=2),
        Column("matrix", "matrix", digits=2),
        Column("paper_peak", "peak on the GPU, paper", digits=1),
        Column("streamed", "streamed moments", digits=1),
        Column("stored", "stored activations", digits=0),
    ),
    build=_build,
)
