"""Krylov spaces against numpy: Ritz values, residuals and weights are what their names say."""

import numpy as np
import pytest
import torch

from nervelab.spectra.krylov import KrylovSpace, rademacher
from tests.spectra.spectra_by_design import covariance

VALUES = np.linspace(2, 0.1, 60) ** 2


@pytest.mark.parametrize("blocks", [None, 5])
def test_ritz_pairs(blocks: int | None) -> None:
    matrix, probes = covariance(VALUES).unit_kk, rademacher(60, 4, seed=3)
    ritz = KrylovSpace(matrix, probes, steps=8).ritz(blocks)
    powers = [np.linalg.matrix_power(matrix.numpy() * 10, power) @ probes.numpy() for power in range(blocks or 8)]
    basis = np.linalg.qr(np.hstack(powers))[0]
    values, vectors = np.linalg.eigh(basis.T @ matrix.numpy() @ basis)
    np.testing.assert_allclose(ritz.values_m, values[::-1], rtol=0, atol=1e-8)
    vectors = basis @ vectors[:, ::-1]
    residuals = np.linalg.norm(matrix.numpy() @ vectors - vectors * values[::-1], axis=0)
    np.testing.assert_allclose(ritz.residuals_m, residuals, rtol=0, atol=1e-7)
    weights = ((vectors.T @ probes.numpy()) ** 2).mean(1)
    np.testing.assert_allclose(ritz.weights_m, weights, rtol=0, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_an_invariant_space_ends_and_holds_eigenvalues(dtype: torch.dtype) -> None:
    """Three distinct eigenvalues: four probes find at most twelve copies, none of them twice."""
    matrix = covariance(np.repeat([4.0, 2.0, 1.0], 20)).unit_kk.to(dtype)
    space = KrylovSpace(matrix, rademacher(60, 4, seed=0), steps=10)
    ritz = space.ritz()
    assert sum(space.sizes) == 12
    np.testing.assert_allclose(ritz.values_m, np.repeat([4.0, 2.0, 1.0], 4) / 140, rtol=1e-5)
    assert ritz.residuals_m.max() < 1e-6
    assert ritz.weights_m.sum() == pytest.approx(60, rel=1e-5)


def test_a_space_cannot_outgrow_the_matrix() -> None:
    space = KrylovSpace(covariance(VALUES).unit_kk, rademacher(60, 7, seed=0), steps=20)
    assert sum(space.sizes) == 60
    np.testing.assert_allclose(space.ritz().values_m, VALUES / VALUES.sum(), rtol=0, atol=1e-12)


def test_signs() -> None:
    signs = rademacher(400, 5, seed=1)
    assert set(signs.flatten().tolist()) == {-1.0, 1.0}
    assert abs(signs.mean()) < 0.1
    assert torch.equal(signs, rademacher(400, 5, seed=1))
