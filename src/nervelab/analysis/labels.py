"""The field's names for settings, for readers."""

from __future__ import annotations

from typing import Any

PLACEMENTS = {
    "preln": "PreLN",
    "postln": "PostLN",
    "mixln": "MixLN",
    "released": "released PreLN block",
    "none": "norm-free",
}
_ACTIVATION = {
    "gelu": "GELU",
    "relu": "ReLU",
    "learnable-leaky-relu": "learnable leaky ReLU",
    "geglu": "GeGLU",
    "swiglu": "SwiGLU",
}

OPTIMISERS = {
    "adamw": "AdamW",
    "adam": "Adam",
    "sgd": "SGD",
    "adafactor": "Adafactor (torch's, not Hugging Face's)",
    "muon": "Muon",
    "dion": "Dion",
}

NOT_RUN = "not run at this scale"
NOT_STUDIED = "not in this study"

METRICS = {"se": "spectral entropy", "pr": "participation ratio", "eee": "eigenvalue early enrichment"}
SHORT = {"se": "SE", "pr": "PR", "eee": "EEE"}
UNITS = {"se": "nats", "pr": "dimensions", "eee": ""}

WINDOW = (
    "Checkpoints count from {window} of the training steps on: one share for all runs, chosen once, with prototypes at "
    "laptop scale in view."
)
"""Which checkpoints enter effects and correlations, everywhere in the same words; `words.filled` fills it in."""


def architecture(settings: dict[str, Any]) -> str:
    """Placement and activation, as in "PreLN GELU"."""
    return f"{PLACEMENTS[settings['placement']]} {_ACTIVATION[settings['activation']]}"
