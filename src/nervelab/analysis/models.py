"""The models that tables and findings speak of, by the settings in which they differ from the baseline."""

from __future__ import annotations

from typing import Any

from nervelab.analysis.aggregates import BASELINE, Aggregates, Run
from nervelab.analysis.labels import NOT_RUN, architecture

Model = dict[str, Any]

PRELN_GELU: Model = {"placement": "preln", "activation": "gelu"}
PRELN_RELU: Model = {"placement": "preln", "activation": "relu"}
PRELN_GEGLU: Model = {"placement": "preln", "activation": "geglu"}
PRELN_SWIGLU: Model = {"placement": "preln", "activation": "swiglu"}
NORMFREE_GELU: Model = {"placement": "none", "activation": "gelu"}
NORMFREE_RELU: Model = {"placement": "none", "activation": "relu"}
NORMFREE_LRELU: Model = {"placement": "none", "activation": "learnable-leaky-relu"}
MIXLN_GELU: Model = {"placement": "mixln", "activation": "gelu"}
POSTLN_GELU: Model = {"placement": "postln", "activation": "gelu"}

# NerVE, Table 3: the architectures whose width is varied.
ARCHITECTURES = (
    PRELN_GELU,
    PRELN_RELU,
    PRELN_GEGLU,
    PRELN_SWIGLU,
    NORMFREE_GELU,
    NORMFREE_RELU,
    NORMFREE_LRELU,
)
# NerVE, section 3.4.
BY_PLACEMENT = {"PreLN": PRELN_GELU, "MixLN": MIXLN_GELU, "PostLN": POSTLN_GELU}
WIDTHS = (1, 2, 3, 4, 5, 6, 7, 8)
"""k of D = kd."""


def named(model: Model) -> str:
    """A model in words, with its width where that is not the baseline's."""
    width = model.get("width_multiple", BASELINE["width_multiple"])
    return architecture(BASELINE | model) + ("" if width == BASELINE["width_multiple"] else f", D = {width}d")


def outcome(runs: tuple[Run, ...]) -> str:
    """How runs ended, in words: "finished" only if all of them did, "not run at this scale" if there are none."""
    if not runs:
        return NOT_RUN
    return "; ".join(dict.fromkeys(run.state for run in runs if run.failed)) or "finished"


def over_widths(aggregates: Aggregates, model: Model) -> tuple[Run | None, ...]:
    """The runs of a model at `WIDTHS`, the lowest seed of each; None where this scale has none."""
    return tuple(aggregates.find(**model, width_multiple=width) for width in WIDTHS)


def outcome_over_widths(runs: tuple[Run | None, ...]) -> str:
    """As `outcome`, for a sweep of which no run may be absent."""
    return NOT_RUN if None in runs else outcome(tuple(run for run in runs if run is not None))
