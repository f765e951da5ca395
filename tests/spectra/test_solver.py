"""The eigensolver, and what happens when torch's fails."""

import numpy as np
import pytest
import torch

from nervelab.spectra.moments import NonFiniteError
from nervelab.spectra.solver import eigenvalues

KNOWN = np.array([5.0, 2.0, 1e-7, 0.0])


def matrix() -> torch.Tensor:
    rotation = np.linalg.qr(np.random.default_rng(0).standard_normal((4, 4)))[0]
    return torch.from_numpy(rotation @ np.diag(KNOWN) @ rotation.T)


def test_known_eigenvalues_in_descending_order() -> None:
    values, solver = eigenvalues(matrix())
    np.testing.assert_allclose(values, KNOWN, rtol=0, atol=1e-14)
    assert (values >= 0).all()
    assert solver == "torch eigvalsh float64 cpu"


def raising(_matrix: torch.Tensor) -> torch.Tensor:
    raise torch.linalg.LinAlgError("linalg.eigh: failed to converge\nand a stack trace")


@pytest.mark.parametrize(
    ("broken", "reason"),
    [(raising, "linalg.eigh: failed to converge"), (lambda m: m[0] * torch.nan, "non-finite values")],
)
def test_a_failing_solver_is_replaced_and_recorded(monkeypatch: pytest.MonkeyPatch, broken, reason: str) -> None:
    monkeypatch.setattr(torch.linalg, "eigvalsh", broken)
    values, solver = eigenvalues(matrix())
    np.testing.assert_allclose(values, KNOWN, rtol=0, atol=1e-14)
    assert solver == f"numpy eigvalsh float64 cpu, after torch on cpu: {reason}"


def wide(values: np.ndarray) -> torch.Tensor:
    """A matrix with these eigenvalues, in a basis that is dense and cheap to make."""
    v = np.random.default_rng(0).standard_normal(len(values))
    reflection = np.eye(len(values)) - 2 * np.outer(v, v) / (v @ v)
    return torch.from_numpy((reflection * values) @ reflection)


@pytest.mark.parametrize("double", [False, True])
def test_above_512_a_plain_spectrum_is_solved_in_float32(double: bool) -> None:
    values = 1 / np.arange(1.0, 601)
    found, solver = eigenvalues(wide(values), double=double)
    assert solver == f"torch eigvalsh {'float64' if double else 'float32'} cpu"
    np.testing.assert_allclose(found, values, rtol=0, atol=1e-14 if double else 1e-6)


def test_what_float32_cannot_tell_from_zero_is_solved_again() -> None:
    values = np.where(np.arange(600) < 3, 1.0, 1e-9)
    found, solver = eigenvalues(wide(values))
    assert solver.startswith("torch eigvalsh float64 cpu, as float32 cannot tell")
    np.testing.assert_allclose(found, values, rtol=0, atol=1e-13)


@pytest.mark.parametrize("factor", [1e-200, 1e200])
def test_extreme_variances(factor: float) -> None:
    np.testing.assert_allclose(eigenvalues(matrix() * factor)[0] / factor, KNOWN, rtol=0, atol=1e-14)


def test_zero_covariance_needs_no_solver() -> None:
    values, solver = eigenvalues(torch.zeros(3, 3))
    assert not values.any()
    assert solver == "none: zero covariance"


def test_non_finite_covariance_is_told() -> None:
    with pytest.raises(NonFiniteError, match="3 x 3"):
        eigenvalues(torch.full((3, 3), torch.nan))
