"""Weights held in a geometry, against numpy; and the state they bring with them."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional

from nervelab.models.decoder import Decoder
from nervelab.models.weights import GEOMETRIES
from nervelab.probes.measure import measure
from nervelab.probes.sites import find_ffns
from nervelab.training.artefacts import unshared
from tests.support.models import ids, small

ACTIVATIONS = {"gelu": ("up", "down"), "swiglu": ("gate", "up", "down")}
cases = pytest.mark.parametrize("geometry", GEOMETRIES)


def maps(model: Decoder, activation: str) -> list[nn.Linear]:
    return [getattr(ffn.inner, name) for _, ffn in model.blocks for name in ACTIVATIONS[activation]]


def matrix(linear: nn.Linear) -> np.ndarray:
    """The weight that the map uses, in float64, in eval mode."""
    return linear.weight.detach().double().numpy()


def train(model: Decoder, optimiser: torch.optim.Optimizer, steps: range) -> None:
    model.train()
    for step in steps:
        torch.manual_seed(step)
        read = torch.randint(50, (4, 16))
        optimiser.zero_grad()
        functional.cross_entropy(model(read[:, :-1]).flatten(0, 1), read[:, 1:].flatten()).backward()
        optimiser.step()


def trained(geometry: str, steps: int = 5, **changes) -> tuple[Decoder, torch.optim.Optimizer]:
    model = small(ffn_weights=geometry, **changes)
    optimiser = torch.optim.AdamW(model.parameters(), lr=0.01)
    train(model, optimiser, range(steps))
    return model, optimiser


def assert_equal_states(one: nn.Module, other: nn.Module) -> None:
    assert one.state_dict().keys() == other.state_dict().keys()
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name]), name


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(("geometry", "axis"), [("weight-norm", 1), ("weight-norm-per-input", 0)])
def test_weight_norm_is_a_length_times_a_direction_per_output_or_per_input(geometry: str, axis: int, activation: str):
    model, _ = trained(geometry, activation=activation)
    for linear in maps(model.eval(), activation):
        parts = linear.parametrizations.weight
        length, direction = (each.detach().double().numpy() for each in (parts.original0, parts.original1))
        norms = np.linalg.norm(direction, axis=axis, keepdims=True)
        assert length.shape == norms.shape
        assert np.abs(length - norms).max() > 1e-3  # training took them apart
        np.testing.assert_allclose(matrix(linear), length * direction / norms, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("geometry", ["weight-norm", "weight-norm-per-input"])
def test_weight_norm_begins_at_the_function_of_free_weights(geometry: str, activation: str):
    free, held = (small(ffn_weights=each, activation=activation) for each in ("free", geometry))
    with torch.no_grad():
        torch.testing.assert_close(held(ids()), free(ids()), rtol=0, atol=1e-6)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("steps", [0, 5])
def test_hyperspherical_weights_have_rows_of_norm_one_and_the_direction_of_what_is_learned(steps: int, activation: str):
    model, _ = trained("hyperspherical", steps=steps, activation=activation)
    for linear in maps(model.eval(), activation):
        (learned,) = linear.parametrizations.weight.parameters()
        direction = learned.detach().double().numpy()
        weight = matrix(linear)
        np.testing.assert_allclose(np.linalg.norm(weight, axis=1), 1, rtol=1e-6)
        np.testing.assert_allclose(
            weight, direction / np.linalg.norm(direction, axis=1, keepdims=True), rtol=1e-5, atol=1e-7
        )


def test_a_row_of_zeros_has_no_direction_and_stays_zero():
    linear = nn.Linear(3, 2)
    with torch.no_grad():
        linear.weight.copy_(torch.tensor([[0.0, 0.0, 0.0], [3.0, 0.0, 4.0]]))
    GEOMETRIES["hyperspherical"](linear)
    linear.weight.sum().backward()
    torch.testing.assert_close(linear.weight.detach(), torch.tensor([[0.0, 0.0, 0.0], [0.6, 0.0, 0.8]]))


def test_hyperspherical_weights_begin_in_the_direction_of_free_ones():
    for free, held in zip(maps(small(), "gelu"), maps(small(ffn_weights="hyperspherical"), "gelu"), strict=True):
        assert torch.equal(held.parametrizations.weight.original, free.weight)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_spectrally_normed_weights_have_largest_singular_value_one_after_some_iterations(activation: str):
    model = small(ffn_weights="spectral-norm", activation=activation).train()
    for _ in range(200):
        model(ids())
    for linear in maps(model.eval(), activation):
        assert np.linalg.svd(matrix(linear), compute_uv=False)[0] == pytest.approx(1, rel=1e-3)


def test_a_step_of_the_power_iteration_in_each_forward_of_training_and_none_in_eval_mode():
    model = small(ffn_weights="spectral-norm").train()
    part = model.blocks[0][1].inner.up.parametrizations.weight
    weight, right = part.original.detach().double().numpy(), part[0]._v.double().numpy()
    model(ids())
    left = weight @ right
    right = weight.T @ left
    np.testing.assert_allclose(part[0]._u, left / np.linalg.norm(left), rtol=0, atol=1e-6)
    np.testing.assert_allclose(part[0]._v, right / np.linalg.norm(right), rtol=0, atol=1e-6)
    before = copy.deepcopy(model)
    model.eval()(ids())
    assert_equal_states(model, before)


def test_the_vectors_of_spectral_norm_come_from_torchs_global_generator():
    firsts = []
    for seed in (0, 0, 1):
        linear = nn.Linear(4, 4)
        nn.init.eye_(linear.weight)  # of which every vector is a singular one: the first draw stays
        torch.manual_seed(seed)
        GEOMETRIES["spectral-norm"](linear)
        firsts.append(linear.parametrizations.weight[0]._u)
    assert torch.equal(firsts[0], firsts[1])
    assert not torch.equal(firsts[0], firsts[2])


@cases
def test_attention_and_head_are_free_and_what_is_free_starts_as_ever(geometry: str):
    free, held = small(), small(ffn_weights=geometry)
    named = dict(held.named_parameters())
    for name, parameter in free.named_parameters():
        if ".1.inner." not in name or name.endswith("bias"):
            assert torch.equal(named[name], parameter), name
        else:
            assert name not in named


@cases
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_ffns_are_found(geometry: str, activation: str):
    model = small(ffn_weights=geometry, activation=activation)
    sites = find_ffns(model)
    assert [site.name for site in sites] == [f"blocks.{layer}.1.inner" for layer in range(len(model.blocks))]
    for site, (_, ffn) in zip(sites, model.blocks, strict=True):
        assert site.pre is (ffn.inner.gate if activation == "swiglu" else ffn.inner.up)
        assert site.down is ffn.inner.down
        assert torch.equal(site.weight(), site.pre.weight)


@cases
def test_a_measurement_in_the_middle_of_training_changes_nothing(geometry: str):
    measured, one = trained(geometry)
    undisturbed, other = trained(geometry)
    before, generator = copy.deepcopy(measured), torch.get_rng_state()
    measure(measured, [ids(40)])
    assert all(module.training for module in measured.modules())
    assert torch.equal(torch.get_rng_state(), generator)
    assert_equal_states(measured, before)
    train(measured, one, range(5, 8))
    train(undisturbed, other, range(5, 8))
    assert_equal_states(measured, undisturbed)


@cases
def test_saved_and_loaded_training_goes_on_exactly(geometry: str, tmp_path: Path):
    model, optimiser = trained(geometry)
    torch.save({"model": model.state_dict(), "optimiser": optimiser.state_dict()}, tmp_path / "state.pt")
    again, resumed = trained(geometry, steps=0, init_std=0.1)
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    again.load_state_dict(state["model"])
    resumed.load_state_dict(state["optimiser"])
    train(model, optimiser, range(5, 8))
    train(again, resumed, range(5, 8))
    assert_equal_states(model, again)


@cases
@pytest.mark.parametrize("tied", [True, False])
def test_what_a_run_leaves_is_all_of_the_model(geometry: str, tied: bool, tmp_path: Path):
    model, _ = trained(geometry, tied_embeddings=tied)
    kept = unshared(model)
    assert model.state_dict().keys() - kept.keys() == ({"head.weight"} if tied else set())
    save_file({name: each.contiguous() for name, each in kept.items()}, tmp_path / "model.safetensors")
    other = small(ffn_weights=geometry, tied_embeddings=tied, init_std=0.1)
    other.load_state_dict(load_file(tmp_path / "model.safetensors"), strict=not tied)
    with torch.no_grad():
        assert torch.equal(other(ids()), model.eval()(ids()))
