"""Models, runs and their outcomes in words."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from typing import Any

from nervelab.aggregates.find import LONG
from nervelab.aggregates.run import Run
from nervelab.paper.architectures import BASELINE, Model
from nervelab.words.labels import (
    ACTIVATIONS,
    BASES,
    FFN_WEIGHTS,
    MEASURING_MODES,
    NORMS,
    NOT_RUN,
    OPTIMISERS,
    POSITIONS,
    architecture,
)

# How the settings in which a run may differ from its base are said, beside placement, activation and width.
_SAID: dict[str, Callable[[Any], str]] = {
    "norm": NORMS.__getitem__,
    "ffn_weights": FFN_WEIGHTS.__getitem__,
    "positions": POSITIONS.__getitem__,
    "optimiser": OPTIMISERS.__getitem__,
    "optimiser_lr": lambda rate: f"learning rate {rate:g}",
    "embedding_std": lambda deviation: f"embeddings from N(0, {deviation:.3g}²)",
    "measure_by_position": lambda _: "measured by position",
    "measure_mode": MEASURING_MODES.__getitem__,
}


def named(model: Model) -> str:
    """A model in words, with its width where that is not the baseline's, and whatever else it is looked up by."""
    base = model.get("base", BASELINE["base"])
    width = model.get("width_multiple", BASELINE["width_multiple"])
    widths = [f"D = {width}d"] if width not in (None, BASELINE["width_multiple"]) else []
    others = [_said(key, value) for key, value in model.items() if key not in (*BASELINE, "recipe")]
    if model.get("optimiser", BASELINE["optimiser"]) != BASELINE["optimiser"]:
        others.append(_said("optimiser", model["optimiser"]))
    # What another base is made of where nothing is named, is not the baseline's.
    what = architecture(BASELINE | model) if base == BASELINE["base"] else BASES.get(base, base)
    return ", ".join([what, *widths, *others])


def run_named(row: dict[str, Any], *, without: Collection[str] = ()) -> str:
    """A run in words, from its row of runs.parquet: its model, and whatever else it does not have from its base.

    The settings `without` are left out: what the runs of a table have in common, or are compared by.
    """
    said_already = ("placement", "activation", "token_activation", "width_multiple", *without)
    others = [_said(key, row[key]) for key in row["off_base"] if key not in said_already]
    by_another = row["base"] == BASELINE["base"] and row["recipes"] and LONG not in row["recipes"]
    recipe = [f"{' and '.join(row['recipes'])} recipe"] if by_another else []
    return "; ".join([_model_named(row), *others, *recipe])


def base_named(row: dict[str, Any]) -> str:
    """The model of the paper that a run is, or, trained on a stand-in for its data, is a small sibling of."""
    name = BASES.get(row["base"], row["base"])
    return f"sibling of {name}" if json.loads(row["config"])["dataset"]["stands_for"] else name


def _model_named(row: dict[str, Any]) -> str:
    if row["placement"] is None:  # a Mixer
        activations = (ACTIVATIONS[row[key]] for key in ("token_activation", "activation"))
        return f"{base_named(row)}, {', '.join(activations)}"
    if row["base"] != BASELINE["base"]:
        return f"{base_named(row)}, {architecture(row)}"
    return named({key: row[key] for key in ("placement", "activation", "width_multiple")})


def _said(key: str, value: Any) -> str:
    if key in _SAID:
        return _SAID[key](value)
    short = f"{value[0]} and {len(value) - 1} more" if isinstance(value, list) and len(value) > 2 else value
    return f"{key.replace('_', ' ')} {short}"


def outcome(runs: tuple[Run, ...]) -> str:
    """How runs ended, in words: "finished" only if all of them did, "not run at this scale" if there are none."""
    if not runs:
        return NOT_RUN
    return "; ".join(dict.fromkeys(run.state for run in runs if run.failed)) or "finished"


def outcome_over_widths(runs: tuple[Run | None, ...]) -> str:
    """As `outcome`, for a sweep of which no run may be absent."""
    return NOT_RUN if None in runs else outcome(tuple(run for run in runs if run is not None))
