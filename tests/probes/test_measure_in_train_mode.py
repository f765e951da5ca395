"""A measurement in train mode against a forward made by hand, with the same masks and the same rounding."""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np
import pytest
import torch
from torch import nn
from transformers import GPT2Config, GPT2LMHeadModel

from nervelab.errors import NervelabError
from nervelab.probes.measure import LayerSpectra, measure
from nervelab.probes.positions import Positions
from nervelab.spectra.moments import NonFiniteError
from tests.probes.ffns_by_hand import Stack, batches, numpy_spectrum

SEED = 11


def by_hand(model: nn.Module, taps: list[tuple[nn.Module, nn.Module]], inputs: list, dtype: torch.dtype | None) -> list:
    """Rows of the pre- and post-activation of each FFN as training computes them, in float64, and their dtype."""
    kept: dict[nn.Module, list[torch.Tensor]] = {module: [] for pair in taps for module in pair}
    handles = []
    for pre, down in taps:
        handles.append(pre.register_forward_hook(lambda module, _args, out: kept[module].append(out)))
        handles.append(down.register_forward_pre_hook(lambda module, args: kept[module].append(args[0])))
    torch.manual_seed(SEED)
    model.train()
    with torch.no_grad(), torch.autocast("cpu", dtype=dtype) if dtype else nullcontext():
        for each in inputs:
            model(each)
    for handle in handles:
        handle.remove()
    wanted = dtype or torch.float32
    assert {x.dtype for pre, _ in taps for x in kept[pre]} == {wanted}
    return [
        tuple(torch.cat([x.flatten(0, -2) for x in kept[module]]).double().numpy() for module in pair) for pair in taps
    ]


def participation(rows_ND: np.ndarray) -> float:
    covariance = np.cov(rows_ND, rowvar=False)
    return float(np.trace(covariance) ** 2 / (covariance**2).sum())


def under(dtype: torch.dtype | None):
    return torch.autocast("cpu", dtype=dtype) if dtype else nullcontext()


def assert_same(some: list[LayerSpectra], others: list[LayerSpectra], *, same: bool = True) -> None:
    for one, other in zip(some, others, strict=True):
        assert np.array_equal(one.pre.eigenvalues, other.pre.eigenvalues) is same
        assert np.array_equal(one.post.eigenvalues, other.post.eigenvalues) is same


@pytest.mark.parametrize("dtype", [None, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("activation", ["gelu", "swiglu"])
def test_spectra_are_those_of_a_forward_in_train_mode_by_hand(activation: str, dtype: torch.dtype | None) -> None:
    model = Stack(activation)
    taps = [(ffn.gate if activation == "swiglu" else ffn.up, ffn.down) for ffn in model.ffns]
    expected = by_hand(model, taps, batches(), dtype)
    with under(dtype):
        layers = measure(model, batches(), mode="train", seed=SEED)
    for number, (layer, rows) in enumerate(zip(layers, expected, strict=True)):
        for spectrum, rows_ND in zip((layer.pre, layer.post), rows, strict=True):
            by_numpy = numpy_spectrum(rows_ND)
            np.testing.assert_allclose(spectrum.eigenvalues, by_numpy, rtol=0, atol=1e-6 * by_numpy[0])
        assert layer.metrics()["pr_post"] == pytest.approx(participation(rows[1]), rel=1e-6)
        assert layer.metrics()["pr_pre"] == pytest.approx(participation(rows[0]), rel=1e-5)
        evaluated = measure(model, batches())[number]
        # Dropout comes after the first FFN, rounding before.
        assert np.array_equal(layer.post.eigenvalues, evaluated.post.eigenvalues) is (number == 0 and dtype is None)


def test_gpt2_of_transformers_with_its_three_dropouts() -> None:
    torch.manual_seed(0)
    model = GPT2LMHeadModel(GPT2Config(n_layer=2, n_head=2, n_embd=16, vocab_size=50, n_positions=32))
    inputs = [torch.randint(50, (6, 32)) for _ in range(3)]
    expected = by_hand(model, [(block.mlp.c_fc, block.mlp.c_proj) for block in model.transformer.h], inputs, None)
    layers = measure(model, inputs, mode="train", seed=SEED)
    for layer, rows in zip(layers, expected, strict=True):
        assert layer.metrics()["pr_pre"] == pytest.approx(participation(rows[0]), rel=1e-5)
        assert layer.metrics()["pr_post"] == pytest.approx(participation(rows[1]), rel=1e-6)
    assert_same(layers, measure(model, inputs), same=False)


def test_without_dropout_and_autocast_train_mode_is_eval_mode() -> None:
    model = Stack()
    model.dropout.p = 0.0
    assert_same(measure(model, batches(), mode="train", seed=SEED), measure(model, batches()))


def test_training_goes_on_as_if_nothing_was_measured() -> None:
    model = Stack().eval()
    model.ffns[0].train()
    modes, generator = [module.training for module in model.modules()], torch.get_rng_state()
    once = measure(model, batches(), mode="train", seed=SEED)
    torch.rand(1)
    assert_same(once, measure(model, batches(), mode="train", seed=SEED))
    torch.set_rng_state(generator)
    inputs = batches()
    inputs[1][0, 0, 0] = torch.nan
    with pytest.raises(NonFiniteError):
        measure(model, inputs, mode="train")
    assert [module.training for module in model.modules()] == modes
    assert torch.equal(torch.get_rng_state(), generator)
    assert not any(module._forward_pre_hooks or module._forward_hooks for module in model.modules())


def test_groups_and_samples_are_of_the_rounded_pre_activation_too() -> None:
    model = Stack()
    (first, *_) = by_hand(model, [(ffn.up, ffn.down) for ffn in model.ffns], batches(), torch.bfloat16)
    early = np.tile(np.arange(16) < 8, len(first[0]) // 16)
    halves = Positions(("early", "late"), lambda batch: (torch.arange(16) >= 8).long().expand(len(batch), -1))
    names = ["full", "sampling-0.50", "sampling-0.50-unbiased"]
    with under(torch.bfloat16):
        layers = measure(model, batches(), estimators=names, positions=halves, mode="train", seed=SEED)
    found = {(each.estimator, each.group): each.metrics()["pr_pre"] for each in layers if each.layer == 0}
    assert found["full", "all"] == pytest.approx(participation(first[0]), rel=1e-5)
    assert found["full", "early"] == pytest.approx(participation(first[0][early]), rel=1e-5)
    assert found["full", "late"] == pytest.approx(participation(first[0][~early]), rel=1e-5)
    for name in names[1:]:
        assert found[name, "all"] == pytest.approx(found["full", "all"], rel=0.1)


@pytest.mark.parametrize("mode", ["training", "", None])
def test_another_mode_is_refused_in_a_sentence(mode: str | None) -> None:
    with pytest.raises(NervelabError, match=rf"^`mode` is {mode!r}: pass 'eval' or 'train'\.$"):
        measure(Stack(), batches(), mode=mode)
