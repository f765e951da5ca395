"""One interface for all estimators: what is true of each of them."""

import numpy as np
import pytest
import torch

from nervelab.spectra import estimators
from nervelab.spectra.estimators import estimate
from nervelab.spectra.names import parse
from tests.spectra.spectra_by_design import ADVERSARIAL, RANKS, covariance

NAMES = [
    "full",
    "randsvd-1/12",
    "randsvd-1/12-squared",
    "randsvd-100-tail",
    "lanczos-1/6",
    "lanczos-1/6-tail",
    "bkq-8x16",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_spectrum_of_full_length_bears_the_name(name: str) -> None:
    spectrum = estimate(parse(name), covariance(1.0 / RANKS[:600], width=1200))
    assert (spectrum.estimator, spectrum.width, spectrum.n_tokens) == (name, 1200, 10**6)
    assert not spectrum.eigenvalues[600:].any()
    assert spectrum.error is None or 0 <= spectrum.error < 1


@pytest.mark.parametrize("name", NAMES)
def test_repetition_is_bitwise(name: str) -> None:
    once, again = (estimate(parse(name), covariance(1.0 / RANKS[:600])).eigenvalues for _ in range(2))
    assert np.array_equal(once, again)


def test_auto_is_exact_where_that_is_cheap_and_quadrature_above(monkeypatch: pytest.MonkeyPatch) -> None:
    given = covariance(ADVERSARIAL["power-law"])
    assert estimate(parse("auto"), given).estimator == "full"
    monkeypatch.setattr(estimators, "AUTO_EXACT", 900)
    assert estimate(parse("auto"), given).estimator == "bkq-16x24"


def test_a_sample_is_no_estimator_of_a_covariance() -> None:
    with pytest.raises(ValueError, match="sampled tokens"):
        estimate(parse("sampling-0.10"), covariance(1.0 / RANKS[:60]))


@pytest.mark.parametrize("name", NAMES)
def test_a_failing_eigensolver_is_replaced(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given = covariance(1.0 / RANKS[:600])
    expected = estimate(parse(name), given).eigenvalues

    def raising(_matrix: torch.Tensor) -> torch.Tensor:
        raise torch.linalg.LinAlgError("failed to converge")

    monkeypatch.setattr(torch.linalg, "eigh", raising)
    monkeypatch.setattr(torch.linalg, "eigvalsh", raising)
    np.testing.assert_allclose(estimate(parse(name), given).eigenvalues, expected, rtol=0, atol=1e-5 * expected[0])


@pytest.mark.parametrize("name", NAMES)
def test_one_unit(name: str) -> None:
    assert estimate(parse(name), covariance(np.ones(1))).eigenvalues == pytest.approx([7])
