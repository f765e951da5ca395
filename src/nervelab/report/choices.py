"""Choices that a reader of the results must know, said only where a run was made by them."""

from __future__ import annotations

from typing import Any

_GATED = ("geglu", "swiglu")


def choices(configs: list[dict[str, Any]]) -> list[str]:
    """Sentences on how the runs with these RunConfigs depart from, or settle, what the paper and its code say."""
    models = [config["model"] for config in configs]
    said = []
    decoders = [model for model in models if model["family"] == "decoder"]
    if any(model["placement"] == "preln" for model in decoders):
        said.append(
            "PreLN is the standard block: both residuals bypass the norm. The authors' released code takes the "
            "residual of attention from the normalised stream."
        )
    if any(model["placement"] == "none" and model["final_norm"] for model in decoders):
        said.append("Norm-free models keep the LayerNorm before the head, as in the released code.")
    if decoders and all({"ffn", "value", "attention-output"}.isdisjoint(model["biases"]) for model in decoders):
        said.append("FFNs, value and output projections have no bias, as in the released code.")
    gated = [model for model in decoders if model["activation"] in _GATED]
    if any(model["width_multiple"] for model in gated):
        said.append(
            "Gated FFNs have D = kd hidden units too, as in the released code, hence half as many FFN weights again as "
            "the plain ones."
        )
    if gated:
        said.append(
            "The pre-activation of a gated FFN is the output of the gate projection, its post-activation the input of "
            "the down projection."
        )
    if any(config["training"]["windows"] == "documents" for config in configs):
        said.append(
            "LLaMA's sequences are documents, cut at the context or filled up with padding, which neither losses nor "
            "spectra count; numbers of held-out tokens count it."
        )
    said.append(
        "Spectra are measured in a separate forward pass in eval mode and float32, all layers from the same tokens: "
        + " and ".join(sorted({_source(config["measure"]) for config in configs}))
        + "."
    )
    said.append(
        "The pre-activation spectrum is computed without approximation through a d × d problem: a linear map of d "
        "inputs has at most d nonzero eigenvalues, and the other D − d are exact zeros."
    )
    return said


def _source(measure: dict[str, Any]) -> str:
    return {
        "batch": "the training batch in hand, as in the paper",
        "probe": "a fixed held-out probe, where the paper takes the training batch",
        "training-set": "of a Mixer the whole training set without augmentation, as in the paper",
    }[measure["source"]]
