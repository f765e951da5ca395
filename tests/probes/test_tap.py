"""Taps and eval mode leave no trace, whatever happens inside."""

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from nervelab.models.ffn import feed_forward
from nervelab.probes.tap import evaluating, tapped
from nervelab.spectra.moments import Moments


def hooks(model: nn.Module) -> int:
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules())


def fail() -> None:
    raise RuntimeError("inside")


def test_inputs_are_observed_and_outputs_untouched() -> None:
    model = feed_forward(8, 32, "relu", bias=True)
    x = torch.randn(4, 5, 8)
    expected = model(x)
    into_up, into_down = Moments(), Moments()
    with tapped([(model.up, into_up), (model.down, into_down)]):
        assert hooks(model) == 2
        assert torch.equal(model(x), expected)
        model.up(input=x)
    assert hooks(model) == 0
    assert (into_up.n, into_up.width) == (40, 8)
    assert (into_down.n, into_down.width) == (20, 32)


def test_hooks_are_gone_after_an_exception() -> None:
    model = feed_forward(8, 32, "relu", bias=True)
    with pytest.raises(RuntimeError, match="inside"), tapped([(model.up, Moments())]):
        fail()
    assert hooks(model) == 0


def test_every_module_returns_to_its_own_mode_after_an_exception() -> None:
    model = nn.Sequential(nn.Dropout(), nn.Sequential(nn.Dropout(), nn.Dropout()))
    model.train()
    model[1][0].eval()
    before = [module.training for module in model.modules()]
    assert len(set(before)) == 2
    with evaluating(model):
        assert not any(module.training for module in model.modules())
    assert [module.training for module in model.modules()] == before
    with pytest.raises(RuntimeError, match="inside"), evaluating(model):
        fail()
    assert [module.training for module in model.modules()] == before


def test_neither_gradients_nor_autocast_nor_power_iterations() -> None:
    model = spectral_norm(nn.Linear(8, 8)).train()
    before = [buffer.clone() for buffer in model.buffers()]
    with torch.autocast("cpu", dtype=torch.bfloat16), evaluating(model):
        y = model(torch.ones(1, 8))
    assert y.dtype == torch.float32
    assert not y.requires_grad
    assert len(before) == 2
    assert all(torch.equal(*pair) for pair in zip(before, model.buffers(), strict=True))
