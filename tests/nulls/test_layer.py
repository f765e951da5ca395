"""What is measured of one FFN is what the trainer's own measurement and plain numpy give."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from nervelab.models.ffn import feed_forward
from nervelab.nulls.layer import layers
from nervelab.probefiles import COLUMNS, SPECTRAL_COLUMNS
from nervelab.probes.measure import measure
from nervelab.probes.positions import UNMEASURED, Positions
from nervelab.probes.sites import find_ffns

TOKENS = 700


def an_ffn(activation: str) -> nn.Module:
    torch.manual_seed(0)
    ffn = feed_forward(16, 40, activation, bias=True)
    with torch.no_grad():
        for parameter in ffn.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return nn.Sequential(nn.Identity(), ffn)


def inputs() -> torch.Tensor:
    return torch.randn(7, TOKENS // 7, 16, generator=torch.Generator().manual_seed(1)) + 0.5


def layer_of(model: nn.Module):
    batches = [(part, part) for part in inputs().split(3)]
    (layer,) = layers(model, batches, find_ffns(model), None, torch.device("cpu"))
    return layer


@pytest.mark.parametrize("activation", ["gelu", "relu", "learnable-leaky-relu", "geglu", "swiglu"])
def test_the_metrics_are_those_of_the_trainers_measurement(activation: str):
    model = an_ffn(activation)
    (known,) = measure(model, [inputs()])
    found = layer_of(model).measured()
    assert tuple(found) == COLUMNS
    for column in SPECTRAL_COLUMNS:
        assert found[column] == pytest.approx(known.metrics()[column], rel=1e-5), column


def test_tokens_that_are_not_measured_are_left_out():
    def label(batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        return torch.where(batch[1][..., 0] > 0.5, UNMEASURED, 0)

    model, positions = an_ffn("gelu"), Positions((), label)
    batches = [(part, part) for part in inputs().split(3)]
    (layer,) = layers(model, batches, find_ffns(model), positions, torch.device("cpu"))
    flat = inputs().flatten(0, 1)
    assert torch.equal(layer.inputs_Nd, flat[flat[:, 0] <= 0.5])


@pytest.mark.parametrize("activation", ["relu", "learnable-leaky-relu", "geglu"])
def test_shares_and_scale_are_those_of_the_activations_themselves(activation: str):
    model = an_ffn(activation)
    ffn = model[1]
    with torch.no_grad():
        x = inputs().flatten(0, 1)
        pre = (ffn.gate if activation == "geglu" else ffn.up)(x)
        active = ffn.activation(pre)
        post = active * ffn.up(x) if activation == "geglu" else active
    found = layer_of(model).measured()
    assert found["active_share"] == pytest.approx((active > 0).double().mean().item(), abs=1e-12)
    assert found["pre_activation_scale"] == pytest.approx(pre.double().square().mean().sqrt().item(), rel=1e-6)
    for when, rows in (("pre", pre), ("post", post)):
        values = np.linalg.eigvalsh(np.cov(rows.double().numpy(), rowvar=False))
        assert found[f"first_share_{when}"] == pytest.approx(values[-1] / values.sum(), rel=1e-5)


def test_a_null_goes_through_both_branches_of_a_gate():
    """Of a gate and a branch that are copies of one map: so are their nulls, and the product is a square."""
    model = an_ffn("geglu")
    ffn = model[1]
    ffn.up.load_state_dict(ffn.gate.state_dict())
    layer = layer_of(model)
    for null in (layer.nulls.gaussian, layer.nulls.shuffled):
        drawn = torch.from_numpy(null(np.random.default_rng(0))).float()
        with torch.no_grad():
            gate = ffn.gate(drawn)
            expected = np.cov((ffn.activation(gate) * gate).double().numpy(), rowvar=False)
        values = np.linalg.eigvalsh(expected)
        found = layer.measured(drawn)
        assert found["pr_post"] == pytest.approx(values.sum() ** 2 / (values**2).sum(), rel=1e-5)
        own = layer.measured()
        assert found["pr_pre"] == pytest.approx(own["pr_pre"], rel=0.2)
        assert found["pr_post"] != own["pr_post"]


def test_the_slope_of_a_learnable_leaky_relu_is_the_trained_one():
    model = an_ffn("learnable-leaky-relu")
    before = layer_of(model).measured()
    with torch.no_grad():
        model[1].activation.weight.fill_(1.0)  # the identity
    after = layer_of(model).measured()
    assert after["js"] < 1e-6 < before["js"]


def test_units_that_are_all_dead_have_no_spectrum():
    model = an_ffn("relu")
    with torch.no_grad():
        model[1].up.bias.fill_(-1000.0)
    found = layer_of(model).measured()
    assert np.isnan([found[name] for name in ("pr_post", "js", "unbiased_pr_post", "first_share_post")]).all()
    assert found["active_share"] == 0
    assert found["pr_pre"] > 1


def test_what_is_not_finite_is_not_a_number():
    layer = layer_of(an_ffn("gelu"))
    found = layer.measured(torch.full((8, 16), 1e38))
    assert np.isnan(list(found.values())).all()
