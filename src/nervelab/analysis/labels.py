"""The field's names for settings, for readers."""

from __future__ import annotations

from typing import Any

_PLACEMENT = {"preln": "PreLN", "postln": "PostLN", "mixln": "MixLN", "none": "norm-free"}
_ACTIVATION = {
    "gelu": "GELU",
    "relu": "ReLU",
    "learnable-leaky-relu": "learnable leaky ReLU",
    "geglu": "GeGLU",
    "swiglu": "SwiGLU",
}

NOT_RUN = "not run at this scale"

METRICS = {"se": "spectral entropy", "pr": "participation ratio", "eee": "eigenvalue early enrichment"}
UNITS = {"se": "nats", "pr": "dimensions", "eee": ""}


def architecture(settings: dict[str, Any]) -> str:
    """Placement and activation, as in "PreLN GELU"."""
    return f"{_PLACEMENT[settings['placement']]} {_ACTIVATION[settings['activation']]}"
