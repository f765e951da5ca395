"""The decoder against transformers' GPT-2, and its variants against their definitions."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional
from transformers import GPT2Config, GPT2LMHeadModel

from nervelab.models.decoder import Decoder, build
from nervelab.models.ffn import GATES, PLAIN
from nervelab.models.norms import NORMS, Residual, layer_placements
from tests.support.configs import SMALL, VOCABULARY
from tests.support.models import ids, perturbed, small


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


def test_logits_equal_those_of_transformers_gpt2_with_copied_weights():
    model = perturbed(small())
    with torch.no_grad():
        torch.testing.assert_close(model(ids()), as_transformers(model)(ids()).logits, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("activation", [*PLAIN, *GATES])
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


def layer_norm(x: torch.Tensor) -> torch.Tensor:
    return (x - x.mean(-1, keepdim=True)) / torch.sqrt(x.var(-1, keepdim=True, unbiased=False) + 1e-5)


def rms_norm(x: torch.Tensor) -> torch.Tensor:
    return x / torch.sqrt(x.square().mean(-1, keepdim=True) + 1e-6)


@pytest.mark.parametrize(
    ("kind", "norm"), [("layernorm", layer_norm), ("rmsnorm", rms_norm), ("weightless-rmsnorm", rms_norm)]
)
@pytest.mark.parametrize(
    ("placement", "expected"),
    [
        ("preln", lambda x, f, n: x + f(n(x))),
        ("postln", lambda x, f, n: n(x + f(x))),
        ("none", lambda x, f, n: x + f(x)),
        ("normed-residual", lambda x, f, n: n(x) + f(n(x))),
    ],
)
def test_placements_follow_their_formula_with_every_kind_of_norm(placement: str, expected, kind: str, norm):
    inner = torch.nn.Linear(6, 6)
    branch = Residual(inner, placement, NORMS[kind](6))
    x = torch.randn(4, 6) * torch.tensor([[3.0], [1.0], [1e-2], [1e-3]])  # small enough that epsilon shows
    torch.testing.assert_close(branch(x), expected(x, inner, norm))


@pytest.mark.parametrize("norm", NORMS)
def test_every_norm_is_of_the_named_kind_wherever_it_stands(norm: str):
    model = small(norm=norm, final_norm=norm, placement="mixln")
    assert [block[1].placement for block in model.blocks] == ["postln", "preln", "preln", "preln"]
    norms = [model.final_norm, *(branch.norm for block in model.blocks for branch in block)]
    assert {type(each) for each in norms} == {type(NORMS[norm](1))}
    tensors = {"layernorm": {"weight", "bias"}, "rmsnorm": {"weight"}, "weightless-rmsnorm": set()}[norm]
    assert all(dict(each.named_parameters()).keys() == tensors for each in norms)


def test_mixln_is_postln_first_and_preln_after():
    assert layer_placements("mixln", 12, 0.25) == ["postln"] * 3 + ["preln"] * 9
    assert layer_placements("none", 2, 0.25) == ["none", "none"]


def test_the_released_block_takes_only_the_residual_of_attention_after_the_norm():
    attention, ffn = small(placement="released").blocks[0]
    assert (attention.placement, ffn.placement) == ("normed-residual", "preln")


@pytest.mark.parametrize("changes", [{}, {"positions": "rope"}, {"positions": "none", "qk_norm": True}])
def test_a_sequence_may_be_shorter_than_the_context(changes: dict):
    model = small(**changes)
    with torch.no_grad():
        torch.testing.assert_close(model(ids()[:, :9]), model(ids())[:, :9], rtol=0, atol=1e-6)


def test_without_positions_a_token_sees_a_set_and_with_rope_a_sequence():
    """The last token attends to all: the order of those before it matters to one layer only if it is told."""
    one = ids()
    other = torch.cat([one[:, :-1].flip(1), one[:, -1:]], dim=1)
    for positions, same in (("none", True), ("rope", False), ("learned", False)):
        model = small(positions=positions, layers=1, init_std=0.2)
        with torch.no_grad():
            assert torch.allclose(model(one)[:, -1], model(other)[:, -1], rtol=0, atol=1e-5) is same, positions


@pytest.mark.parametrize("changes", [{"positions": "rope"}, {"qk_norm": True}, {"positions": "rope", "qk_norm": True}])
def test_under_autocast_attention_is_that_of_float32_but_for_rounding(changes: dict):
    model = small(init_std=0.2, **changes)
    with torch.no_grad():
        expected = model(ids())
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = model(ids()).float()
    assert (found - expected).norm() < 0.05 * expected.norm()


def test_settings_come_as_they_are_read_from_a_plan():
    """A trainer has a namespace of the values of JSON, not the record."""
    model = small(positions="rope", norm="rmsnorm", ffn_weights="weight-norm", activation="swiglu")
    changed = SMALL.model_dump(mode="json") | {
        "positions": "rope",
        "norm": "rmsnorm",
        "ffn_weights": "weight-norm",
        "activation": "swiglu",
    }
    torch.manual_seed(0)
    other = build(SimpleNamespace(**json.loads(json.dumps(changed))), VOCABULARY)
    assert model.state_dict().keys() == other.state_dict().keys()
    assert all(map(torch.equal, model.state_dict().values(), other.state_dict().values()))


def test_settings_give_the_parameters_they_name():
    def count(**changes) -> int:
        return sum(each.numel() for each in small(**changes).parameters())

    d, width, layers = SMALL.d_model, 4 * SMALL.d_model, SMALL.layers
    assert count() - count(biases=("query-key",)) == layers * (2 * d + width + d)
    assert count(tied_embeddings=False) - count() == VOCABULARY * d
    assert count() - count(placement="none") == layers * 4 * d
    assert count() - count(final_norm=None) == 2 * d
    assert count() - count(final_norm="rmsnorm") == d
    assert count(width_multiple=8) - count() == layers * (2 * d * 4 * d + 4 * d)
    assert count(width_multiple=None, ffn_width=8 * d) == count(width_multiple=8)
    assert count(width_multiple=None, ffn_width=61) - count() == layers * (61 - width) * (2 * d + 1)
    assert count() - count(norm="rmsnorm") == 2 * layers * d
    assert count() - count(norm="weightless-rmsnorm") == 2 * layers * 2 * d
    assert count() - count(positions="rope") == count() - count(positions="none") == SMALL.context * d
    assert count(qk_norm=True) == count()


def deviations(**changes) -> dict[str, float]:
    named = small(d_model=96, layers=8, **changes).named_parameters()
    return {name: each.std().item() for name, each in named if name.endswith("weight") and each.ndim == 2}


@pytest.mark.parametrize("tied", [True, False])
def test_initial_weights_have_the_stated_deviations_and_biases_are_zero(tied: bool):
    found = deviations(init_std=0.05, embedding_std=0.02, tied_embeddings=tied)
    assert ("head.weight" in found) is not tied
    for name, deviation in found.items():
        expected = 0.02 if name in ("tokens.weight", "positions.weight") else 0.05
        assert deviation == pytest.approx(expected, rel=0.05), name
    for name, parameter in small().named_parameters():
        if name.endswith("bias"):
            assert parameter.abs().max().item() == 0, name


def test_depth_scaling_is_of_the_maps_that_end_a_branch_alone():
    plain, scaled = deviations(), deviations(depth_scaled=True)
    last = {name for name in plain if name.endswith((".output.weight", ".down.weight"))}
    assert len(last) == 2 * 8
    for name, deviation in scaled.items():
        assert deviation == pytest.approx(plain[name] / (4 if name in last else 1)), name


def test_by_fan_maps_keep_the_size_of_what_they_are_given_and_wide_ones_do_not_shrink_it():
    """The numbers of Ahn et al. (2025), by hand: 1 / sqrt(96) from 96 inputs, and half of 1 / sqrt(384) back."""
    found = deviations(init_std="fan", embedding_std=1.0, tied_embeddings=False)
    assert found["tokens.weight"] == pytest.approx(1, rel=0.05)
    assert found["blocks.0.1.inner.up.weight"] == pytest.approx(0.10206, rel=0.02)
    assert found["blocks.0.1.inner.down.weight"] == pytest.approx(0.025516, rel=0.02)
    assert found["blocks.0.0.inner.query.weight"] == pytest.approx(0.10206, rel=0.03)
    assert found["head.weight"] == pytest.approx(0.0737, rel=0.05)  # 50 outputs of 96 inputs
