"""Dion against its algorithm in float64 numpy, and against the polar factor that it approximates."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import torch
from torch import nn

from nervelab.optim.dion import Dion, rank

SETTINGS = {"lr": 0.1, "mu": 0.95, "rank_fraction": 0.5, "weight_decay": 0.2, "eps": 1e-8}
SHAPES = [(12, 5), (5, 12), (8, 8), (1, 6), (6, 1)]


def matrix(m: int, n: int, seed: int = 0) -> nn.Parameter:
    return nn.Parameter(torch.randn(m, n, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)))


def dion(*parameters: nn.Parameter, seed: int = 3, **changes: float) -> Dion:
    """Its right factors drawn after `seed`."""
    torch.manual_seed(seed)
    return Dion(parameters, **SETTINGS | changes)


def algorithm_1(x: np.ndarray, q: np.ndarray, gradients: list[np.ndarray], settings: dict) -> list[np.ndarray]:
    """The weights after each step (Ahn et al. 2025, Algorithm 1)."""
    m, n = x.shape
    momentum = np.zeros_like(x)
    after = []
    for gradient in gradients:
        b = momentum + gradient
        p = gram_schmidt(b @ q)
        r = b.T @ p
        momentum = b - (1 - settings["mu"]) * p @ r.T
        q = r / (np.sqrt((r**2).sum(axis=0)) + settings["eps"])
        step = np.sqrt(m / n) * p @ q.T
        x = x - settings["lr"] * settings["weight_decay"] * x - settings["lr"] * step
        after.append(x)
    return after


def gram_schmidt(columns: np.ndarray) -> np.ndarray:
    """Orthonormal columns of the same span, column by column; done twice, which is enough to rounding."""
    basis: list[np.ndarray] = []
    for column in columns.T:
        for _ in range(2):
            for earlier in basis:
                column = column - (earlier @ column) * earlier
        basis.append(column / np.sqrt(column @ column))
    return np.stack(basis, axis=1)


@pytest.mark.parametrize("rank_fraction", [0.5, 1.0])
@pytest.mark.parametrize("shape", SHAPES)
def test_steps_are_those_of_the_algorithm(shape: tuple[int, int], rank_fraction: float):
    settings = SETTINGS | {"rank_fraction": rank_fraction}
    weights = matrix(*shape)
    optimiser = dion(weights, **settings)
    random = np.random.default_rng(1)
    gradients = [random.normal(size=shape) for _ in range(6)]
    right = optimiser.state[weights]["right"].numpy().copy()
    expected = algorithm_1(weights.detach().numpy().copy(), right, gradients, settings)
    for gradient, wanted in zip(gradients, expected, strict=True):
        weights.grad = torch.from_numpy(gradient)
        optimiser.step()
        np.testing.assert_allclose(weights.detach().numpy(), wanted, rtol=1e-9, atol=1e-11)


def test_in_float32_a_step_is_the_same_but_for_rounding():
    exact = matrix(24, 16)
    rounded = nn.Parameter(exact.detach().float())
    for weights in (exact, rounded):
        optimiser = dion(weights)
        weights.grad = torch.from_numpy(np.random.default_rng(1).normal(size=(24, 16))).to(weights.dtype)
        optimiser.step()
    torch.testing.assert_close(rounded.detach().double(), exact.detach(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_at_full_rank_and_converged_the_direction_is_the_polar_factor(shape: tuple[int, int]):
    """With the right singular vectors as right factor, one power iteration is exact, and so is the normalisation."""
    weights = matrix(*shape)
    before = weights.detach().clone()
    optimiser = dion(weights, rank_fraction=1.0, weight_decay=0.0, eps=1e-300)
    gradient = matrix(*shape, seed=5).detach()
    optimiser.state[weights]["right"] = torch.linalg.svd(gradient, full_matrices=False).Vh.T.contiguous()
    weights.grad = gradient
    optimiser.step()
    m, n = shape
    direction = (before - weights.detach()).numpy() / (SETTINGS["lr"] * np.sqrt(m / n))
    np.testing.assert_allclose(direction, scipy.linalg.polar(gradient.numpy())[0], atol=1e-10)


def test_the_power_iteration_goes_on_over_the_steps_until_it_reaches_the_polar_factor():
    """One gradient, its singular values apart by factors of two: an iteration gains a factor of four a step."""
    random = np.random.default_rng(2)
    left, right = (scipy.linalg.qr(random.normal(size=(size, 4)), mode="economic")[0] for size in (9, 6))
    gradient = left @ np.diag([8.0, 4.0, 2.0, 1.0]) @ right.T
    weights = matrix(9, 6)
    optimiser = dion(weights, rank_fraction=4 / 6, weight_decay=0.0)
    off = []
    for _ in range(30):
        before = weights.detach().clone()
        weights.grad = torch.from_numpy(gradient)
        optimiser.step()
        direction = (before - weights.detach()).numpy() / (SETTINGS["lr"] * np.sqrt(9 / 6))
        off.append(np.abs(direction - left @ right.T).max())
    assert off[0] > 0.1
    assert off[-1] < 1e-6


def test_the_columns_of_the_right_factor_have_unit_norm():
    weights = matrix(12, 7)
    optimiser = dion(weights)
    weights.grad = 1e6 * matrix(12, 7, seed=1).detach()
    optimiser.step()
    norms = optimiser.state[weights]["right"].norm(dim=0)
    torch.testing.assert_close(norms, torch.ones(4, dtype=torch.float64), rtol=1e-12, atol=0)


def test_what_the_low_rank_missed_stays_in_the_momentum_undiminished():
    weights = matrix(10, 8)
    optimiser = dion(weights, rank_fraction=0.25)
    gradient = matrix(10, 8, seed=1).detach()
    right = optimiser.state[weights]["right"].clone()
    weights.grad = gradient
    optimiser.step()
    caught = torch.linalg.qr(gradient @ right).Q
    inside = caught @ caught.T
    momentum = optimiser.state[weights]["momentum"]
    torch.testing.assert_close(momentum - inside @ momentum, gradient - inside @ gradient)
    torch.testing.assert_close(inside @ momentum, 0.95 * inside @ gradient)


def test_without_a_gradient_nothing_moves_but_by_decay_and_training_goes_on():
    weights = matrix(6, 4)
    before = weights.detach().clone()
    optimiser = dion(weights)
    optimiser.step()
    assert torch.equal(weights.detach(), before)
    weights.grad = torch.zeros(6, 4, dtype=torch.float64)
    optimiser.step()
    torch.testing.assert_close(weights.detach(), before * (1 - 0.1 * 0.2))
    for seed in (1, 2):
        weights.grad = matrix(6, 4, seed=seed).detach()
        optimiser.step()
    norms = optimiser.state[weights]["right"].norm(dim=0)
    torch.testing.assert_close(norms, torch.ones(2, dtype=torch.float64))


def test_the_rank_is_the_share_of_the_smaller_side_rounded_up():
    for side in range(1, 301):
        for hundredths in range(1, 101):
            assert (
                rank(side, 300, hundredths / 100) == rank(300, side, hundredths / 100) == -(-hundredths * side // 100)
            )


@pytest.mark.parametrize(("fraction", "side", "expected"), [(0.07, 100, 7), (0.5, 5, 3), (1 / 3, 9, 3), (0.01, 2, 1)])
def test_the_fraction_is_the_one_that_is_written(fraction: float, side: int, expected: int):
    assert rank(side, side + 1, fraction) == expected


def test_the_right_factors_come_from_torchs_generator_on_the_cpu():
    """As the weights of a model do, so that two seeds of a run begin with two sets of factors."""

    def factors(seed: int, dtype: torch.dtype = torch.float64) -> list[torch.Tensor]:
        parameters = [nn.Parameter(torch.ones(shape, dtype=dtype, device="cpu")) for shape in ((6, 4), (4, 6))]
        optimiser = dion(*parameters, seed=seed)
        return [optimiser.state[each]["right"] for each in parameters]

    once, again, other = factors(3), factors(3), factors(4)
    assert all(map(torch.equal, once, again))
    assert not any(map(torch.equal, once, other))
    torch.manual_seed(3)
    by_hand = [torch.randn(4, 2), torch.randn(6, 2)]
    assert all(map(torch.equal, by_hand, factors(3, torch.float32)))
    with torch.device("meta"):  # whatever the default device is
        assert all(map(torch.equal, factors(3), once))


def test_a_tensor_that_is_no_matrix_is_refused():
    with pytest.raises(ValueError, match=r"matrices only, but was given a tensor of shape \(3,\)"):
        Dion([matrix(2, 2), nn.Parameter(torch.ones(3))], **SETTINGS)
