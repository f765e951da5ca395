"""The models of the paper have the sizes they are named by."""

from __future__ import annotations

import pytest
import torch

from nervelab.models.decoder import build
from nervelab.study.config import DecoderModel

COMMON = {
    "family": "decoder",
    "placement": "preln",
    "init_std": 0.02,
    "embedding_std": 0.02,
    "embedding_dropout": 0.0,
}
LLAMA = {
    "activation": "swiglu",
    "norm": "rmsnorm",
    "final_norm": "rmsnorm",
    "positions": "rope",
    "tied_embeddings": False,
    "context": 256,
}
GPT2 = {
    "activation": "squared-relu",
    "norm": "weightless-rmsnorm",
    "final_norm": "weightless-rmsnorm",
    "positions": "rope",
    "qk_norm": True,
}
T5_VOCABULARY, GPT2_VOCABULARY = 32100, 50257


def parameters(vocabulary: int, **settings) -> float:
    """Millions of parameters; nothing is allocated."""
    with torch.device("meta"):
        model = build(DecoderModel(**COMMON, biases=(), **settings), vocabulary)
        assert model(torch.zeros(1, 8, dtype=torch.long)).shape == (1, 8, vocabulary)
    assert {each.device.type for each in model.parameters()} == {"meta"}
    return sum(each.numel() for each in model.parameters()) / 1e6


@pytest.mark.parametrize(
    ("named", "d_model", "width", "layers", "heads"),
    [(71, 512, 1368, 12, 8), (130, 768, 2048, 12, 12), (250, 768, 2560, 24, 16), (1300, 2048, 5461, 24, 32)],
)
def test_llama(named: int, d_model: int, width: int, layers: int, heads: int):
    """The names of Li et al. (2025) are rounded, the largest by 3 %."""
    shape = {"d_model": d_model, "ffn_width": width, "layers": layers, "heads": heads}
    by_hand = 2 * T5_VOCABULARY * d_model + layers * (4 * d_model**2 + 3 * d_model * width + 2 * d_model) + d_model
    found = parameters(T5_VOCABULARY, **LLAMA, **shape)
    assert found == by_hand / 1e6
    assert found == pytest.approx(named, rel=0.06)


@pytest.mark.parametrize(
    ("named", "d_model", "layers", "heads", "tied", "context"),
    [(162, 768, 12, 6, False, 1024), (405, 1024, 24, 16, False, 512), (354, 1024, 24, 16, True, 512)],
)
def test_gpt2(named: int, d_model: int, layers: int, heads: int, tied: bool, context: int):
    shape = {"d_model": d_model, "width_multiple": 4, "layers": layers, "heads": heads, "context": context}
    found = parameters(GPT2_VOCABULARY, tied_embeddings=tied, **GPT2, **shape)
    assert found == pytest.approx(named, abs=0.6)


@pytest.mark.parametrize("geometry", ["weight-norm", "weight-norm-per-input", "spectral-norm", "hyperspherical"])
def test_the_geometry_of_the_weights_adds_lengths_at_most(geometry: str):
    shape = {"d_model": 768, "width_multiple": 4, "layers": 12, "heads": 12, "context": 128, "tied_embeddings": True}
    shape["final_norm"] = "layernorm"
    free = parameters(50000, activation="gelu", **shape)
    lengths = {"weight-norm": 3072 + 768, "weight-norm-per-input": 768 + 3072}.get(geometry, 0)
    held = parameters(50000, activation="gelu", ffn_weights=geometry, **shape)
    assert held - free == pytest.approx(12 * lengths / 1e6)
