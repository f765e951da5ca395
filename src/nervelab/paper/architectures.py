"""The architectures that the paper compares, by the settings in which they differ from its baseline."""

from __future__ import annotations

from typing import Any

Model = dict[str, Any]

# What a run has unless a lookup says otherwise: the baseline of GPT-2 125M, NerVE, section 3.1.
BASELINE: dict[str, Any] = {
    "base": "gpt2-codeparrot",
    "placement": "preln",
    "activation": "gelu",
    "width_multiple": 4,
    "optimiser": "adamw",
}

PRELN_GELU: Model = {"placement": "preln", "activation": "gelu"}
PRELN_RELU: Model = {"placement": "preln", "activation": "relu"}
PRELN_GEGLU: Model = {"placement": "preln", "activation": "geglu"}
PRELN_SWIGLU: Model = {"placement": "preln", "activation": "swiglu"}
NORMFREE_GELU: Model = {"placement": "none", "activation": "gelu"}
NORMFREE_RELU: Model = {"placement": "none", "activation": "relu"}
NORMFREE_LRELU: Model = {"placement": "none", "activation": "learnable-leaky-relu"}
RELEASED_GELU: Model = {"placement": "released", "activation": "gelu"}
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
LONG_WIDTHS = (1, 4, 8)
"""Those of the models that are trained by the long recipe at more than one width."""
