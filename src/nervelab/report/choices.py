"""Choices that a reader of the results must know, said only where a run was made by them."""

from __future__ import annotations

from typing import Any

_GATED = ("geglu", "swiglu")


def choices(configs: list[dict[str, Any]]) -> list[str]:
    """Sentences on how the runs with these RunConfigs depart from, or settle, what the paper and its code say."""
    models = [config["model"] for config in configs]
    said = []
    if any(model["placement"] == "preln" for model in models):
        said.append(
            "PreLN is the standard block: both residuals bypass the norm. The authors' released code takes the "
            "residual of attention from the normalised stream."
        )
    if any(model["placement"] == "none" and model["final_norm"] for model in models):
        said.append("Norm-free models keep the LayerNorm before the head, as in the released code.")
    if all({"ffn", "value", "attention-output"}.isdisjoint(model["biases"]) for model in models):
        said.append("FFNs, value and output projections have no bias, as in the released code.")
    if any(model["activation"] in _GATED for model in models):
        said.append(
            "Gated FFNs have D = kd hidden units too, as in the released code, hence half as many FFN weights again as "
            "the plain ones. Their pre-activation is the output of the gate projection, their post-activation the "
            "input of the down projection."
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
    if measure["source"] == "batch":
        return "the training batch in hand, as in the paper"
    return "a fixed held-out probe, where the paper takes the training batch"
