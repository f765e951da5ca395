"""The relative seed noise of a scale that has seeds, for a scale that trains each model once.

`borrowed.yaml` holds it; `python -m nervelab.analysis.borrowed results/tables/seed-noise.csv` writes it anew.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import polars as pl
import yaml

EVERYWHERE = "everywhere"
"""Beside the recipes: the models of every base and optimiser."""
BORROWERS = ("paper",)
"""The scales that may take it."""
_FILE = "borrowed.yaml"
_HEAD = "# Written by nervelab.analysis.borrowed. Relative spreads over seeds: deviation, degrees of freedom, groups.\n"
_LAYER = re.compile(r"_layer_\d+$")


@dataclass(frozen=True)
class Relative:
    """A spread in shares of the size of a quantity, or of its logarithm; `groups` models or pairs of models."""

    deviation: float
    degrees_of_freedom: float
    groups: int


@dataclass(frozen=True)
class Borrowed:
    """The noise of a quantity at `scale`: over models, and over pairs of them on the same batches."""

    scale: str
    models: Relative
    pairs: Relative | None


def borrowed(scale: str, kind: str, quantity: str) -> Borrowed | None:
    """What may stand in at a scale for the noise of a quantity; None where nothing may.

    Of an effect in one layer it is that of the layer with the largest: the layers of another depth are others.

    Args:
        scale: that lacks seeds.
        kind: a recipe, or `EVERYWHERE`.
        quantity: its id.
    """
    content = _content()
    found = content["noise"].get(kind, {}).get(_LAYER.sub("_layer", quantity))
    if scale not in BORROWERS or found is None:
        return None
    return Borrowed(
        content["scale"], *(Relative(*found[side]) if side in found else None for side in ("models", "pairs"))
    )


@cache
def _content() -> dict[str, Any]:
    return yaml.safe_load((files("nervelab.analysis") / _FILE).read_text(encoding="utf-8"))


def text_of(noise: pl.DataFrame) -> str:
    """`borrowed.yaml` made of a table of seed noise."""
    found: dict[str, dict[str, dict[str, list[float]]]] = {}
    for row in noise.filter(pl.col("relative").is_not_null()).iter_rows(named=True):
        kinds = found.setdefault(row["kind"], {})
        known = kinds.setdefault(_LAYER.sub("_layer", row["of"]), {})
        for side, of in (("models", ""), ("pairs", "_of_pairs")):
            if row[f"relative{of}"] is not None:
                _keep(known, side, row[f"relative{of}"], row[f"degrees_of_freedom{of}"], row[side])
    (scale,) = noise["scale"].unique()
    return _HEAD + yaml.safe_dump({"scale": scale, "noise": found}, sort_keys=False, default_flow_style=None)


def _keep(known: dict[str, list[float]], side: str, deviation: float, freedom: float, groups: int) -> None:
    """Enter a spread unless a larger one is there, to four digits."""
    if side not in known or deviation > known[side][0]:
        known[side] = [float(f"{deviation:.4g}"), round(freedom, 1), groups]


def main(arguments: Sequence[str]) -> None:
    """Write `borrowed.yaml` from a file of seed noise."""
    text = text_of(pl.read_csv(Path(arguments[0])))
    Path(__file__).with_name(_FILE).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
