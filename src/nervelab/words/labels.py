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
ACTIVATIONS = {
    "gelu": "GELU",
    "relu": "ReLU",
    "squared-relu": "squared ReLU",
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

# The paper's models; at smaller scales those of a base are small siblings of it.
BASES = {
    "gpt2-codeparrot": "GPT-2 125M",
    "gpt2-125m-shape": "GPT-2 125M's shape",
    "gpt2-openwebtext": "GPT-2 on OpenWebText",
    "gpt2-160m-fineweb": "GPT-2 160M",
    "gpt2-160m-fineweb-long": "GPT-2 160M, twice the context",
    "gpt2-350m-fineweb": "GPT-2 350M",
    "llama-71m": "LLaMA 71M",
    "llama-130m": "LLaMA 130M",
    "llama-250m": "LLaMA 250M",
    "llama-1.3b": "LLaMA 1.3B",
    "mixer-cifar100": "MLP-Mixer",
}
NORMS = {"layernorm": "LayerNorm", "rmsnorm": "RMSNorm", "weightless-rmsnorm": "RMSNorm without weights"}
FFN_WEIGHTS = {
    "free": "free FFN weights",
    "weight-norm": "weight norm in the FFN",
    "weight-norm-per-input": "weight norm per input in the FFN",
    "spectral-norm": "spectral norm in the FFN",
    "hyperspherical": "hyperspherical norm in the FFN",
}
POSITIONS = {"learned": "learned positions", "rope": "RoPE", "none": "no positions"}
GROUPS = {
    "all": "all",
    "early": "first third",
    "middle": "middle third",
    "late": "last third",
    "top": "upper half",
    "bottom": "lower half",
}
"""Of token positions."""
MEASURING_MODES = {
    "eval": "measured in eval mode and float32",
    "train": "measured with the dropout and in the precision of training",
}

NOT_RUN = "not run at this scale"
NOT_PROBED = "not probed (nervelab probe does it)"

WINDOW = (
    "Checkpoints count from {window} of the training steps on: one share for all runs, chosen once, with prototypes at "
    "laptop scale in view."
)
"""Which checkpoints enter effects and correlations, everywhere in the same words; `facts.filled` fills it in."""


def architecture(settings: dict[str, Any]) -> str:
    """Placement and activation, as in "PreLN GELU"."""
    return f"{PLACEMENTS[settings['placement']]} {ACTIVATIONS[settings['activation']]}"


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
