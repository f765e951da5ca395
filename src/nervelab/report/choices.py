"""Choices that a reader of the results must know, said only where a run was made by them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

Config = dict[str, Any]

_GATED = ("geglu", "swiglu")


def _decoder(config: Config) -> bool:
    return config["model"]["family"] == "decoder"


def _gated(config: Config) -> bool:
    return _decoder(config) and config["model"]["activation"] in _GATED


def _sibling(config: Config) -> bool:
    """Whether it is a small decoder, on a stand-in for the paper's data."""
    return _decoder(config) and bool(config["dataset"]["stands_for"])


def _states_deviation(config: Config) -> bool:
    """Whether its maps start with a standard deviation that is stated, and not by their fan."""
    return config["model"].get("init_std", "fan") != "fan"


def _embeddings_scaled(config: Config) -> bool:
    """Whether its embeddings start as large as its maps, which the paper's do at a width of their own."""
    model = config["model"]
    return _states_deviation(config) and math.isclose(model["embedding_std"], model["init_std"])


# A sentence is said if it holds of one of the runs.
_SAID: tuple[tuple[Callable[[Config], bool], str], ...] = (
    (
        lambda config: _sibling(config) and _states_deviation(config),
        "A sibling's linear maps start with the paper's standard deviation times √(d of the paper / d), which gives "
        "its pre-activations the size that they have in the paper's model, as long as its embeddings start as small as "
        "the paper's.",
    ),
    (
        lambda config: _sibling(config) and _embeddings_scaled(config),
        "The embeddings of siblings start larger by the same factor: the sweep of rates has the lower eval loss so, "
        "with a norm and without, at 800 steps and at 3,200 (table of learning rates). Where there is a norm, "
        "pre-activations do not depend on it; where there is none, they start about 3.5 times as large as the paper's. "
        "The study `left-open` has embeddings as small as the paper's.",
    ),
    (
        _sibling,
        "Rates, the share of warm-up and the start of the embeddings were chosen by the final eval loss of seed 0 "
        "alone (`make ONLY=tune`), before any finding was looked at again.",
    ),
    (
        _sibling,
        "What was tried of siblings before a claim of the paper counts as one that they do not show: three starts of "
        "the weights, rates past the best on both sides for most models, four times the length for the core and the "
        "placements, five and twenty per cent of warm-up for PreLN GELU (docs/siblings.md, with what was not tried). "
        "Depth was not: four layers stand for twelve, but for a study on request.",
    ),
    (
        lambda config: _decoder(config) and config["model"]["placement"] == "preln",
        "PreLN is the standard block: both residuals bypass the norm. The authors' released code takes the residual of "
        "attention from the normalised stream.",
    ),
    (
        lambda config: (
            _decoder(config) and config["model"]["placement"] == "none" and bool(config["model"]["final_norm"])
        ),
        "Norm-free models keep the LayerNorm before the head, as in the released code.",
    ),
    (
        lambda config: _decoder(config) and {"ffn", "value", "attention-output"}.isdisjoint(config["model"]["biases"]),
        "FFNs, value and output projections have no bias, as in the released code.",
    ),
    (
        lambda config: _gated(config) and bool(config["model"]["width_multiple"]),
        "Gated FFNs have D = kd hidden units too, as in the released code, hence half as many FFN weights again as the "
        "plain ones.",
    ),
    (
        _gated,
        "The pre-activation of a gated FFN is the output of the gate projection, its post-activation the input of the "
        "down projection.",
    ),
    (
        lambda config: _decoder(config) and config["model"]["ffn_weights"] != "free",
        "The geometries of FFN weights are compared over learnable leaky ReLU; the paper does not say over which "
        "activation. Weight norm is per output unit; the release normalises per input.",
    ),
    (
        lambda config: config["optimiser"]["name"] == "adafactor",
        "Adafactor is torch's, whose step is at most min(rate, 1/√t) and relative to the size of a tensor; it is not "
        "Hugging Face's. The paper prints neither its rate nor its weight decay.",
    ),
    (
        lambda config: config["optimiser"]["name"] in ("muon", "dion"),
        "Muon (with Nesterov's form) and Dion train the hidden matrices, AdamW everything else, the head at its rate / "
        "√d, as Dion's authors scale it, with the betas that their optimisers have by default: 0.95 and 0.98 stand in "
        "their train.py and are not read. They take Lion there, which is not tried here; Muon's iteration has torch's "
        "coefficients, not theirs.",
    ),
    (
        lambda config: _decoder(config) and config["model"]["activation"] == "squared-relu",
        "GPT-2 on FineWeb has squared ReLU, RMSNorm without weights, QK-norm, RoPE and an untied head, as in the code "
        "that the paper follows; the paper does not say.",
    ),
    (
        lambda config: _decoder(config) and config["model"]["positions"] == "none",
        "The models of RoPE against no positions have SwiGLU, RMSNorm and an untied head, as in the code that the "
        "paper follows; the paper does not say, nor their size.",
    ),
    (
        lambda config: config["training"]["windows"] == "documents",
        "LLaMA's sequences are documents, cut at the context or filled up with padding, which neither losses nor "
        "spectra count; numbers of held-out tokens count it.",
    ),
    (
        lambda config: _sibling(config) and config["training"]["windows"] == "documents",
        "Rates of LLaMA were swept at 71M alone and serve all its sizes, MixLN's being twice the others'; the paper "
        "halves its rate at 1.3B. What MixLN does there may be its rate's doing.",
    ),
    (
        lambda config: config["training"]["windows"] == "chunks",
        "“Step n” is the network after n updates, step 0 the untrained one. The released callback starts at step 1 and "
        "lags by one logging interval: what it writes as step 400 is the network after 200 updates.",
    ),
    (
        lambda config: config["training"]["windows"] == "chunks",
        "Documents are cut into chunks as in the released code: what remains at the end of each is left out, and the "
        "first token of a chunk is no target. Chunks are drawn with replacement, not shuffled through once.",
    ),
)


def choices(configs: list[Config]) -> list[str]:
    """Sentences on how the runs with these RunConfigs depart from, or settle, what the paper and its code say."""
    return [
        *(sentence for holds, sentence in _SAID if any(map(holds, configs))),
        f"Spectra are measured in a separate forward pass {_forward(configs)}, all layers from the same tokens: "
        + "; ".join(sorted({_source(config["measure"]) for config in configs}))
        + ".",
        "The pre-activation spectrum is computed without approximation through a d × d problem: a linear map of d "
        "inputs has at most d nonzero eigenvalues, and the other D − d are exact zeros.",
    ]


def _forward(configs: list[Config]) -> str:
    said = {"eval": "in eval mode and float32", "train": "with the dropout and in the precision of training"}
    return " or ".join(said[mode] for mode in sorted({config["measure"]["mode"] for config in configs}))


def _source(measure: dict[str, Any]) -> str:
    return {
        "batch": "the training batch in hand, as in the paper",
        "probe": "a fixed held-out probe, where the paper takes the training batch",
        "training-set": "of a Mixer the whole training set without augmentation, as in the paper",
    }[measure["source"]]
