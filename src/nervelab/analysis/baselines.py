"""The baselines: the models that the paper names, and every other base as it stands; under names for a terminal."""

from __future__ import annotations

from nervelab.aggregates.find import SHORT_RECIPE, Aggregates
from nervelab.aggregates.run import Run
from nervelab.paper.architectures import (
    BASELINE,
    MIXLN_GELU,
    NORMFREE_GELU,
    NORMFREE_LRELU,
    NORMFREE_RELU,
    POSTLN_GELU,
    PRELN_GEGLU,
    PRELN_GELU,
    PRELN_RELU,
    PRELN_SWIGLU,
    RELEASED_GELU,
)

NAMED = {
    "preln-gelu": PRELN_GELU,
    "preln-relu": PRELN_RELU,
    "preln-geglu": PRELN_GEGLU | SHORT_RECIPE,
    "preln-swiglu": PRELN_SWIGLU | SHORT_RECIPE,
    "normfree-gelu": NORMFREE_GELU,
    "normfree-relu": NORMFREE_RELU,
    "normfree-lrelu": NORMFREE_LRELU,
    "mixln-gelu": MIXLN_GELU,
    "postln-gelu": POSTLN_GELU,
    "released-gelu": RELEASED_GELU | SHORT_RECIPE,
}


def baselines(aggregates: Aggregates) -> dict[str, tuple[Run, ...]]:
    """The runs of each baseline that this scale trains, one a seed; the bases in the order of the study."""
    runs = {name: aggregates.find_seeds(**model) for name, model in NAMED.items()}
    for base in aggregates.runs["base"].unique(maintain_order=True):
        if base != BASELINE["base"]:
            runs.setdefault(base, aggregates.find_seeds(base=base))
    return {name: found for name, found in runs.items() if found}
