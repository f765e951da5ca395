"""The decoder with RoPE, RMSNorm and SwiGLU against transformers' LLaMA."""

from __future__ import annotations

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from nervelab.models.decoder import Decoder
from tests.support.configs import SMALL, VOCABULARY
from tests.support.models import ids, perturbed, small

WIDTH = 67  # no multiple of d_model, as in the sizes that the paper follows


def llama(tied: bool, rope_base: float) -> Decoder:
    # Weights large enough that attention is far from uniform.
    return perturbed(
        small(
            width_multiple=None,
            ffn_width=WIDTH,
            activation="swiglu",
            norm="rmsnorm",
            final_norm="rmsnorm",
            positions="rope",
            rope_base=rope_base,
            tied_embeddings=tied,
            biases=(),
            init_std=0.2,
            embedding_std=0.2,
        )
    )


@torch.no_grad()
def as_transformers(model: Decoder, tied: bool, rope_base: float) -> LlamaForCausalLM:
    """transformers' LLaMA with the weights of `model`."""
    settings = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=SMALL.d_model,
        intermediate_size=WIDTH,
        num_hidden_layers=SMALL.layers,
        num_attention_heads=SMALL.heads,
        max_position_embeddings=SMALL.context,
        rms_norm_eps=1e-6,
        rope_parameters={"rope_type": "default", "rope_theta": rope_base},
        tie_word_embeddings=tied,
    )
    other = LlamaForCausalLM(settings).eval()
    other.model.embed_tokens.weight.copy_(model.tokens.weight)
    other.lm_head.weight.copy_(model.head.weight)
    other.model.norm.weight.copy_(model.final_norm.weight)
    for (attention, ffn), theirs in zip(model.blocks, other.model.layers, strict=True):
        theirs.input_layernorm.weight.copy_(attention.norm.weight)
        theirs.post_attention_layernorm.weight.copy_(ffn.norm.weight)
        for name, part in zip("qkvo", ("query", "key", "value", "output"), strict=True):
            getattr(theirs.self_attn, f"{name}_proj").weight.copy_(getattr(attention.inner, part).weight)
        for part in ("gate", "up", "down"):
            getattr(theirs.mlp, f"{part}_proj").weight.copy_(getattr(ffn.inner, part).weight)
    return other


@pytest.mark.parametrize(("tied", "rope_base"), [(False, 10000.0), (True, 500.0)])
def test_logits_equal_those_of_transformers_llama_with_copied_weights(tied: bool, rope_base: float):
    model = llama(tied, rope_base)
    other = as_transformers(model, tied, rope_base)
    assert sum(each.numel() for each in model.parameters()) == sum(each.numel() for each in other.parameters())
    with torch.no_grad():
        torch.testing.assert_close(model(ids()), other(ids()).logits, rtol=1e-5, atol=1e-5)


def test_in_float64_they_differ_by_what_transformers_does_in_float32():
    """Its norm and its angles are float32 whatever the model is."""
    model = llama(tied=False, rope_base=10000.0)
    other = as_transformers(model, tied=False, rope_base=10000.0).double()
    with torch.no_grad():
        torch.testing.assert_close(model.double()(ids()), other(ids()).logits, rtol=0, atol=1e-5)
