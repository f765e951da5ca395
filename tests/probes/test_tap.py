"""Taps and eval mode leave no trace, whatever happens inside."""

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from nervelab.models.ffn import feed_forward
from nervelab.probes.tap import as_in_training, autocasting, evaluating, tapped
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


class Stateful(nn.Sequential):
    """What train mode changes: dropout, a batch norm's statistics, a spectral norm's power iteration."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        super().__init__(spectral_norm(nn.Linear(8, 8)), nn.BatchNorm1d(8), nn.Dropout(0.5))


def test_train_mode_leaves_modes_buffers_and_generator_as_they_were_after_an_exception() -> None:
    model, x = Stateful(), torch.randn(16, 8)
    model[2].eval()
    modes = [module.training for module in model.modules()]
    state = {name: value.clone() for name, value in model.state_dict().items()}
    generator = torch.get_rng_state()

    def inside() -> None:
        assert model[2].training
        assert torch.count_nonzero(model(x)) < 0.75 * x.numel(), "dropout is on"
        assert not torch.equal(model[1].running_mean, state["1.running_mean"])
        assert not torch.equal(torch.get_rng_state(), generator)
        fail()

    for seed in (None, 3):
        with pytest.raises(RuntimeError, match="inside"), as_in_training(model, seed):
            inside()
        assert [module.training for module in model.modules()] == modes
        assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
        assert torch.equal(torch.get_rng_state(), generator)


def test_a_weight_is_the_same_in_train_mode_and_outside() -> None:
    model = Stateful()
    model.eval()
    weight = model[0].weight.clone()
    with as_in_training(model):
        model(torch.randn(16, 8))
        assert torch.equal(model[0].weight, weight)


def test_dropout_is_that_of_the_seed_or_goes_on() -> None:
    model, x = nn.Dropout(0.5), torch.ones(1000)
    drawn = []
    for seed in (3, 4, 3, None):
        torch.rand(1)
        with as_in_training(model, seed):
            drawn.append(model(x))
    assert torch.equal(drawn[0], drawn[2])
    assert not torch.equal(drawn[0], drawn[1])
    assert torch.equal(drawn[3], nn.functional.dropout(x, 0.5))


def test_train_mode_keeps_the_autocast_around_it_and_observers_work_without() -> None:
    model = nn.Linear(8, 8)
    seen = []

    class Products:
        def update(self, x_ND: torch.Tensor) -> None:
            seen.append((x_ND.dtype, (x_ND.float() @ x_ND.float().T).dtype))

    with torch.autocast("cpu", dtype=torch.bfloat16), as_in_training(model):
        assert autocasting(model)
        with tapped([(model, Products())], [(model, Products())]):
            assert model(torch.ones(2, 8)).dtype == torch.bfloat16
    assert seen == [(torch.float32, torch.float32), (torch.bfloat16, torch.float32)]
    assert not autocasting(model)
    assert hooks(model) == 0
