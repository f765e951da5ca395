"""FFNs are found by role in models of several makes, and nothing else is."""

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm
from transformers import BertConfig, BertModel, GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from nervelab.errors import NervelabError
from nervelab.models.ffn import feed_forward
from nervelab.probes.sites import FFNSite, find_ffns


class Named(nn.Module):
    """Linear children under given names, in the given order, with (inputs, outputs)."""

    def __init__(self, **shapes: tuple[int, int]) -> None:
        super().__init__()
        for name, (inputs, outputs) in shapes.items():
            self.add_module(name, nn.Linear(inputs, outputs))


@pytest.mark.parametrize("activation", ["gelu", "swiglu"])
@pytest.mark.parametrize("width", [32, 8, 5])
def test_our_ffns(activation: str, width: int) -> None:
    model = nn.Sequential(feed_forward(8, width, activation, bias=False), feed_forward(8, width, activation, bias=True))
    sites = find_ffns(model)
    assert [site.name for site in sites] == ["0", "1"]
    for site, ffn in zip(sites, model, strict=True):
        assert site.pre is (ffn.gate if activation == "swiglu" else ffn.up)
        assert site.down is ffn.down
        assert torch.equal(site.weight(), site.pre.weight)


@pytest.mark.parametrize("inner", [32, 8])
def test_gpt2_of_transformers(inner: int) -> None:
    """Conv1D stores W^T; attention (c_attn, c_proj) and cross attention are not FFNs, also at D = d."""
    config = GPT2Config(n_layer=3, n_head=2, n_embd=8, n_inner=inner, vocab_size=10, add_cross_attention=True)
    model = GPT2LMHeadModel(config)
    sites = find_ffns(model)
    assert [site.name for site in sites] == [f"transformer.h.{layer}.mlp" for layer in range(3)]
    for site, block in zip(sites, model.transformer.h, strict=True):
        assert site.pre is block.mlp.c_fc
        assert site.down is block.mlp.c_proj
        x = torch.randn(5, 8)
        torch.testing.assert_close(x @ site.weight().T + site.pre.bias, block.mlp.c_fc(x))


@pytest.mark.parametrize("inner", [24, 8])
def test_llama_of_transformers(inner: int) -> None:
    config = LlamaConfig(
        num_hidden_layers=2, hidden_size=8, intermediate_size=inner, num_attention_heads=2, vocab_size=10
    )
    model = LlamaForCausalLM(config)
    sites = find_ffns(model)
    assert [site.name for site in sites] == ["model.layers.0.mlp", "model.layers.1.mlp"]
    assert [site.pre for site in sites] == [layer.mlp.gate_proj for layer in model.model.layers]
    assert [site.down for site in sites] == [layer.mlp.down_proj for layer in model.model.layers]


def test_torchs_encoder_layer() -> None:
    layer = nn.TransformerEncoderLayer(8, nhead=2, dim_feedforward=20)
    (site,) = find_ffns(layer)
    assert (site.pre, site.down) == (layer.linear1, layer.linear2)


def test_a_sequential_is_read_in_order_even_if_it_narrows() -> None:
    model = nn.Sequential(nn.Linear(8, 4), nn.GELU(), nn.Linear(4, 8))
    (site,) = find_ffns(model)
    assert (site.pre, site.down) == (model[0], model[2])


def test_the_registration_order_of_projections_does_not_matter() -> None:
    model = Named(down=(32, 8), up=(8, 32))
    (site,) = find_ffns(model)
    assert (site.pre, site.down) == (model.up, model.down)


def test_parametrised_projections_are_found_without_advancing_their_power_iteration() -> None:
    model = feed_forward(8, 32, "gelu", bias=False)
    spectral_norm(model.up)
    spectral_norm(model.down)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    (site,) = find_ffns(model.train())
    assert (site.pre, site.down) == (model.up, model.down)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize(
    "attention",
    [
        {"qkv": (8, 24), "out": (8, 8)},
        {"query_key": (8, 16), "value": (8, 8), "output": (8, 8)},
        {"query": (8, 8), "key": (8, 8), "value": (8, 8)},
        {"query": (8, 8), "kv": (8, 4), "out": (8, 8)},
        {"q": (8, 8), "k": (8, 8), "v": (8, 8), "out": (8, 8)},
    ],
)
def test_attention_is_no_ffn(attention: dict[str, tuple[int, int]]) -> None:
    model = nn.ModuleDict({"attention": Named(**attention), "ffn": feed_forward(8, 32, "relu", bias=False)})
    assert [site.name for site in find_ffns(model)] == ["ffn"]


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ({"alpha": (8, 8), "beta": (8, 8)}, "which of 'alpha', 'beta' leads down"),
        ({"alpha": (8, 8), "beta": (8, 8), "gamma": (8, 8)}, "leads down"),
        ({"alpha": (8, 32), "beta": (8, 32), "down": (32, 8)}, "which of 'alpha', 'beta' is the gate"),
    ],
)
def test_what_cannot_be_told_apart_is_not_guessed(shapes: dict[str, tuple[int, int]], message: str) -> None:
    model = nn.ModuleDict({"odd": Named(**shapes), "ffn": feed_forward(8, 32, "relu", bias=False)})
    with pytest.raises(NervelabError, match=rf"(?s){message}.*pass the FFNs explicitly") as caught:
        find_ffns(model)
    assert "'odd'" in str(caught.value)


def test_a_deeper_mlp_is_no_gated_ffn() -> None:
    mlp = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8))
    assert [site.name for site in find_ffns(nn.Sequential(mlp, feed_forward(8, 32, "relu", bias=False)))] == ["1"]


def test_a_model_without_an_ffn_is_told() -> None:
    bert = BertModel(BertConfig(num_hidden_layers=1, hidden_size=8, num_attention_heads=2, intermediate_size=16))
    with pytest.raises(NervelabError, match="no FFN was found in BertModel: pass the FFNs explicitly"):
        find_ffns(bert)


def test_explicit_sites_are_checked() -> None:
    with pytest.raises(NervelabError, match="`pre` of FFN 'x' is a GELU, not a linear map"):
        FFNSite("x", pre=nn.GELU(), down=nn.Linear(4, 4))
    with pytest.raises(NervelabError, match="`pre` has 16 outputs but `down` takes 8 inputs"):
        FFNSite("x", pre=nn.Linear(4, 16), down=nn.Linear(8, 4))
