"""The decoder against transformers' GPT-2, and its variants against their definitions."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional
from transformers import GPT2Config, GPT2LMHeadModel

from nervelab.models.decoder import Decoder, build
from nervelab.models.norms import Residual, layer_placements
from small_model import SMALL, VOCABULARY


def small(**changes) -> Decoder:
    torch.manual_seed(0)
    return build(SMALL.model_copy(update=changes), VOCABULARY).eval()


def as_transformers(model: Decoder) -> GPT2LMHeadModel:
    """transformers' GPT-2 with the weights of `model`."""
    settings = GPT2Config(
        vocab_size=VOCABULARY,
        n_positions=SMALL.context,
        n_embd=SMALL.d_model,
        n_layer=SMALL.layers,
        n_head=SMALL.heads,
        activation_function="gelu",
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
    )
    other = GPT2LMHeadModel(settings).eval()
    with torch.no_grad():
        other.transformer.wte.weight.copy_(model.tokens.weight)
        other.transformer.wpe.weight.copy_(model.positions.weight)
        other.transformer.ln_f.load_state_dict(model.final_norm.state_dict())
        for block, theirs in zip(model.blocks, other.transformer.h, strict=True):
            attention, ffn = block[0], block[1]
            theirs.ln_1.load_state_dict(attention.norm.state_dict())
            theirs.ln_2.load_state_dict(ffn.norm.state_dict())
            maps = [attention.inner.query, attention.inner.key, attention.inner.value]
            theirs.attn.c_attn.weight.copy_(torch.cat([each.weight for each in maps]).T)
            theirs.attn.c_attn.bias.copy_(torch.cat([each.bias for each in maps]))
            theirs.attn.c_proj.weight.copy_(attention.inner.output.weight.T)
            theirs.attn.c_proj.bias.copy_(attention.inner.output.bias)
            theirs.mlp.c_fc.weight.copy_(ffn.inner.up.weight.T)
            theirs.mlp.c_fc.bias.copy_(ffn.inner.up.bias)
            theirs.mlp.c_proj.weight.copy_(ffn.inner.down.weight.T)
            theirs.mlp.c_proj.bias.copy_(ffn.inner.down.bias)
    return other


def ids(sequences: int = 3) -> torch.Tensor:
    return torch.randint(VOCABULARY, (sequences, SMALL.context), generator=torch.Generator().manual_seed(1))


def test_logits_equal_those_of_transformers_gpt2_with_copied_weights():
    model = small()
    with torch.no_grad():
        for parameter in model.parameters():  # biases and norms start at 0 and 1, where many mistakes are invisible
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(2)))
        torch.testing.assert_close(model(ids()), as_transformers(model)(ids()).logits, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("activation", ["gelu", "relu", "learnable-leaky-relu", "geglu", "swiglu"])
@pytest.mark.parametrize("placement", ["preln", "postln", "mixln", "released", "none"])
def test_no_token_sees_what_comes_after_it(activation: str, placement: str):
    model = small(activation=activation, placement=placement)
    one = ids()
    other = one.clone()
    other[:, 9:] = (other[:, 9:] + 1) % VOCABULARY
    with torch.no_grad():
        torch.testing.assert_close(model(one)[:, :9], model(other)[:, :9], rtol=0, atol=1e-6)
        assert not torch.allclose(model(one)[:, 9:], model(other)[:, 9:])


def test_gated_ffns_follow_their_formula():
    for activation, function in (("geglu", functional.gelu), ("swiglu", functional.silu)):
        ffn = small(activation=activation).blocks[0][1].inner
        x = torch.randn(2, 5, SMALL.d_model)
        expected = (function(x @ ffn.gate.weight.T + ffn.gate.bias) * (x @ ffn.up.weight.T + ffn.up.bias)) @ (
            ffn.down.weight.T
        ) + ffn.down.bias
        torch.testing.assert_close(ffn(x), expected)


def test_the_leaky_slope_is_learnable_and_starts_at_a_hundredth():
    model = small(activation="learnable-leaky-relu")
    slopes = [each for name, each in model.named_parameters() if "activation" in name]
    assert [slope.item() for slope in slopes] == pytest.approx([0.01] * SMALL.layers)
    assert all(slope.requires_grad and slope.numel() == 1 for slope in slopes)


@pytest.mark.parametrize(
    ("placement", "expected"),
    [
        ("preln", lambda x, f, n: x + f(n(x))),
        ("postln", lambda x, f, n: n(x + f(x))),
        ("none", lambda x, f, n: x + f(x)),
        ("normed-residual", lambda x, f, n: n(x) + f(n(x))),
    ],
)
def test_placements_follow_their_formula(placement: str, expected):
    inner = torch.nn.Linear(6, 6)
    branch = Residual(inner, placement, 6)
    x = torch.randn(4, 6) * 3
    norm = lambda y: (y - y.mean(-1, keepdim=True)) / torch.sqrt(y.var(-1, keepdim=True, unbiased=False) + 1e-5)  # noqa: E731
    torch.testing.assert_close(branch(x), expected(x, inner, norm))


def test_mixln_is_postln_first_and_preln_after():
    assert layer_placements("mixln", 12, 0.25) == ["postln"] * 3 + ["preln"] * 9
    assert layer_placements("none", 2, 0.25) == ["none", "none"]


def test_the_released_block_takes_only_the_residual_of_attention_after_the_norm():
    attention, ffn = small(placement="released").blocks[0]
    assert (attention.placement, ffn.placement) == ("normed-residual", "preln")


def test_settings_give_the_parameters_they_name():
    def count(**changes) -> int:
        return sum(each.numel() for each in small(**changes).parameters())

    d, width, layers = SMALL.d_model, 4 * SMALL.d_model, SMALL.layers
    assert count() - count(biases=("query-key",)) == layers * (2 * d + width + d)
    assert count(tied_embeddings=False) - count() == VOCABULARY * d
    assert count() - count(placement="none") == layers * 4 * d
    assert count() - count(final_norm=False) == 2 * d
    assert count(width_multiple=8) - count() == layers * (2 * d * 4 * d + 4 * d)


def test_initial_weights_have_the_stated_deviation_and_biases_are_zero():
    model = small(d_model=96, init_std=0.02)
    for name, parameter in model.named_parameters():
        if name.endswith("weight") and parameter.ndim == 2:
            assert parameter.std().item() == pytest.approx(0.02, rel=0.05), name
        elif name.endswith("bias"):
            assert parameter.abs().max().item() == 0, name
