"""The field's names for settings, for readers."""

from __future__ import annotations

from typing import Any

from nervelab.spectra.names import parse

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


def estimator_named(name: str) -> str:
    """An estimator in words, as in "10 % of tokens" or "Lanczos, rank D/12, with tail"."""
    estimator = parse(name)
    share = estimator.share
    rank = estimator.rank if share is None else f"{share.numerator if share.numerator > 1 else ''}D/{share.denominator}"
    words = {
        "full": "full",
        "auto": "exact or BKQ, by size",
        "sampling": f"{100 * estimator.ratio:.3g} % of tokens",
        "randsvd": f"RandSVD, rank {rank}",
        "lanczos": f"Lanczos, rank {rank}",
        "bkq": f"BKQ {estimator.block} × {estimator.steps}",
    }[estimator.kind]
    variants = {
        "": "",
        "unbiased": ", unbiased PR",
        "richardson": ", extrapolated",
        "squared": ", squared",
        "tail": ", with tail",
    }
    return words + variants[estimator.variant]
