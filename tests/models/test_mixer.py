"""The Mixer against timm's, and its variants against their definitions."""

from __future__ import annotations

import math
from functools import partial
from typing import get_args

import pytest
import torch
from pydantic import ValidationError
from timm.models.mlp_mixer import MlpMixer
from torch import nn

from nervelab.models.mixer import Mixer, build
from nervelab.models.norms import NORMS
from nervelab.probes.sites import find_ffns
from nervelab.study.config import MixerModel
from nervelab.study.config.models import Norm
from tests.support.images import CLASSES, MIXER

ACTIVATIONS = {"gelu": nn.GELU, "relu": nn.ReLU}
PATCHES = (MIXER.image // MIXER.patch) ** 2


def small(**changes) -> Mixer:
    torch.manual_seed(0)
    return build(MIXER.model_copy(update=changes), CLASSES).eval()


def untrained_timm(activation: str = "gelu") -> MlpMixer:
    return MlpMixer(
        num_classes=CLASSES,
        img_size=MIXER.image,
        patch_size=MIXER.patch,
        num_blocks=MIXER.layers,
        embed_dim=MIXER.d_model,
        mlp_ratio=(MIXER.token_width / MIXER.d_model, MIXER.width_multiple),
        norm_layer=partial(nn.LayerNorm, eps=1e-6),
        act_layer=ACTIVATIONS[activation],
    ).eval()


def as_timm(model: Mixer, token_activation: str, activation: str) -> MlpMixer:
    """timm's Mixer with the weights of `model`."""
    other = untrained_timm()
    with torch.no_grad():
        other.stem.proj.weight.copy_(model.patches.map.weight.view_as(other.stem.proj.weight))
        other.stem.proj.bias.copy_(model.patches.map.bias)
        other.norm.load_state_dict(model.final_norm.state_dict())
        other.head.load_state_dict(model.head.state_dict())
        for block, theirs in zip(model.blocks, other.blocks, strict=True):
            theirs.norm1.load_state_dict(block.token_norm.state_dict())
            theirs.norm2.load_state_dict(block.channel_norm.state_dict())
            for ffn, mlp in ((block.tokens, theirs.mlp_tokens), (block.channels, theirs.mlp_channels)):
                mlp.fc1.load_state_dict(ffn.up.state_dict())
                mlp.fc2.load_state_dict(ffn.down.state_dict())
            theirs.mlp_tokens.act = ACTIVATIONS[token_activation]()
            theirs.mlp_channels.act = ACTIVATIONS[activation]()
    return other


def images(count: int = 3) -> torch.Tensor:
    return torch.randn(count, 3, MIXER.image, MIXER.image, generator=torch.Generator().manual_seed(1))


def perturbed(model: nn.Module) -> nn.Module:
    """The head starts at zero, biases and norms at 0 and 1, where many mistakes are invisible."""
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return model


@pytest.mark.parametrize("activation", ["gelu", "relu"])
@pytest.mark.parametrize("token_activation", ["gelu", "relu"])
def test_logits_equal_those_of_timm_with_copied_weights(token_activation: str, activation: str):
    model = perturbed(small(token_activation=token_activation, activation=activation))
    with torch.no_grad():
        logits = as_timm(model, token_activation, activation)(images())
        assert logits.std() > 0.1
        torch.testing.assert_close(model(images()), logits, rtol=1e-4, atol=1e-5)


def test_at_paper_scale_it_has_57_million_parameters():
    paper = {"patch": 4, "d_model": 768, "layers": 12, "token_width": 384, "width_multiple": 4}
    with torch.device("meta"):
        model = build(MIXER.model_copy(update=paper), 100)
    assert sum(each.numel() for each in model.parameters()) / 1e6 == pytest.approx(57.4, abs=0.05)
    assert next(iter(model.blocks)).tokens.up.in_features == 64


def test_initial_weights_are_distributed_as_those_of_timm():
    """Mean, deviation (within five standard errors) and extremes of each tensor, over many draws of both."""
    torch.manual_seed(0)
    ours = [build(MIXER, CLASSES) for _ in range(40)]
    theirs = [untrained_timm() for _ in range(40)]
    pairs = {
        "patches.map": "stem.proj",
        "blocks.1.tokens.up": "blocks.1.mlp_tokens.fc1",
        "blocks.1.tokens.down": "blocks.1.mlp_tokens.fc2",
        "blocks.1.channels.up": "blocks.1.mlp_channels.fc1",
        "blocks.1.channels.down": "blocks.1.mlp_channels.fc2",
        "head": "head",
        "blocks.0.token_norm": "blocks.0.norm1",
        "final_norm": "norm",
    }
    for name, timm_name in pairs.items():
        for kind in ("weight", "bias"):
            mine = torch.stack([getattr(model.get_submodule(name), kind).detach().flatten() for model in ours])
            other = torch.stack([getattr(model.get_submodule(timm_name), kind).detach().flatten() for model in theirs])
            where, error = f"{name}.{kind}", 5 / math.sqrt(mine.numel())
            spread = other.std().item()
            assert mine.mean().item() == pytest.approx(other.mean().item(), abs=2 * error * spread), where
            assert mine.std().item() == pytest.approx(spread, rel=error), where
            assert mine.abs().max().item() == pytest.approx(other.abs().max().item(), rel=0.25), where


def test_rms_norm_follows_its_formula():
    model = small(norm="rmsnorm")
    for norm in (model.blocks[0].token_norm, model.blocks[1].channel_norm, model.final_norm):
        x = torch.randn(2, PATCHES, MIXER.d_model) * 1e-3  # so small that its epsilon shows
        with torch.no_grad():
            expected = x / torch.sqrt((x**2).mean(-1, keepdim=True) + 1e-6)
            torch.testing.assert_close(norm(x), expected)
    layernorm = small()
    assert sum(p.numel() for p in layernorm.parameters()) - sum(p.numel() for p in model.parameters()) == 5 * 24


def test_layer_norm_follows_its_formula():
    model = perturbed(small())
    for norm in (model.blocks[0].token_norm, model.blocks[1].channel_norm, model.final_norm):
        x = torch.randn(2, PATCHES, MIXER.d_model) * 1e-3
        with torch.no_grad():
            centred = x - x.mean(-1, keepdim=True)
            normed = centred / torch.sqrt((centred**2).mean(-1, keepdim=True) + 1e-6)
            torch.testing.assert_close(norm(x), normed * norm.weight + norm.bias)


def test_every_kind_of_norm_that_may_be_asked_for_is_there_and_a_mixers_have_weights():
    assert set(NORMS) == set(get_args(Norm))
    with pytest.raises(ValidationError, match="'layernorm' or 'rmsnorm'"):
        MixerModel.model_validate(MIXER.model_dump() | {"norm": "weightless-rmsnorm"})


@pytest.mark.parametrize("square", [False, True])
def test_both_ffns_of_every_layer_are_found(square: bool):
    """Also where a token-mixing matrix is square, and where head and patch embedding have mirrored shapes."""
    changes = {"token_width": PATCHES} if square else {}
    model = build(MIXER.model_copy(update=changes), 3 * MIXER.patch**2 if square else CLASSES)
    sites = find_ffns(model)
    assert [site.name for site in sites] == [
        f"blocks.{layer}.{mixes}" for layer in range(MIXER.layers) for mixes in ("tokens", "channels")
    ]
    for site in sites:
        ffn = model.get_submodule(site.name)
        assert (site.pre, site.down) == (ffn.up, ffn.down)
    assert {f"blocks.{layer}.channels" for layer in range(MIXER.layers)} == set(model.channel_ffns())
    assert all(model.get_submodule(name) is ffn for name, ffn in model.channel_ffns().items())
    assert [site.pre.in_features for site in sites[:2]] == [PATCHES, MIXER.d_model]
    assert [site.pre.out_features for site in sites[:2]] == [
        PATCHES if square else MIXER.token_width,
        MIXER.width_multiple * MIXER.d_model,
    ]
