"""Rank-k approximations against eigenvalues that are given, numpy's SVD and scipy's Lanczos."""

import numpy as np
import pytest
import torch
from scipy.sparse.linalg import eigsh

from nervelab.spectra.covariance import Covariance
from nervelab.spectra.metrics import early_enrichment, participation_ratio, spectral_entropy
from nervelab.spectra.truncated import lanczos, randomised_svd
from tests.spectra.spectra_by_design import ADVERSARIAL, RANKS, WIDTH, covariance

RANK = 80
ESTIMATORS = [randomised_svd, lanczos]


def shares(values: np.ndarray) -> np.ndarray:
    return values / values.sum()


def metrics(values: np.ndarray) -> list[float]:
    return [spectral_entropy(values), participation_ratio(values), early_enrichment(values)]


def test_randomised_svd_has_the_leading_eigenvalues_and_zeros() -> None:
    exact = shares(ADVERSARIAL["power-law"])
    spectrum = randomised_svd(covariance(ADVERSARIAL["power-law"]), rank=RANK, variant="", name="randsvd-80")
    assert (spectrum.estimator, spectrum.width) == ("randsvd-80", WIDTH)
    np.testing.assert_allclose(spectrum.eigenvalues[:40] / 7, exact[:40], rtol=0.01)
    assert not spectrum.eigenvalues[RANK:].any()
    assert spectrum.error == pytest.approx(exact[RANK:].sum(), rel=0.05)


def test_squared_is_the_square() -> None:
    given = covariance(ADVERSARIAL["power-law"])
    plain, squared = (randomised_svd(given, rank=RANK, variant=each, name=each).eigenvalues for each in ("", "squared"))
    np.testing.assert_allclose(shares(squared), shares(plain**2), rtol=1e-12)


def test_lanczos_has_the_outermost_eigenvalues() -> None:
    """Of a given number of steps the leading Ritz values have converged to what ARPACK finds."""
    given = covariance(ADVERSARIAL["power-law"])
    expected = eigsh(given.unit_kk.numpy(), k=10, return_eigenvectors=False)[::-1]
    spectrum = lanczos(given, rank=RANK, variant="", name="lanczos-80")
    assert np.count_nonzero(spectrum.eigenvalues) == RANK
    np.testing.assert_allclose(spectrum.eigenvalues[:10] / 7, expected, rtol=1e-4)


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("name", ["power-law", "exponential", "steep-exponential", "spiked"])
def test_a_tail_keeps_trace_and_squares(estimator, name: str) -> None:
    spectrum = estimator(covariance(ADVERSARIAL[name]), rank=RANK, variant="tail", name="tail")
    values, exact = spectrum.eigenvalues / 7, shares(ADVERSARIAL[name])
    assert values.sum() == pytest.approx(1, rel=1e-6)
    assert participation_ratio(values) == pytest.approx(participation_ratio(exact), rel=1e-4)
    plain = estimator(covariance(ADVERSARIAL[name]), rank=RANK, variant="", name="plain").eigenvalues
    off = [np.abs(np.array(metrics(each)) / metrics(exact) - 1).max() for each in (values, plain)]
    assert off[0] < 0.07
    assert off[0] < off[1] or off[1] < 1e-3


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_they_converge_with_the_rank(estimator) -> None:
    given = covariance(ADVERSARIAL["exponential"])
    exact = spectral_entropy(ADVERSARIAL["exponential"])
    off = [
        abs(spectral_entropy(estimator(given, rank=rank, variant="", name="x").eigenvalues) - exact)
        for rank in (50, 200, 800)
    ]
    assert off[0] > 2 * off[1] > 4 * off[2]


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("variant", ["", "tail"])
def test_small_low_rank_and_zero(estimator, variant: str) -> None:
    small = estimator(covariance(1.0 / RANKS[:40], width=160), rank=60, variant=variant, name="x").eigenvalues
    np.testing.assert_allclose(shares(small)[:40], shares(1.0 / RANKS[:40]), rtol=1e-9)
    assert not small[40:].any()
    one = estimator(covariance(ADVERSARIAL["rank-one"]), rank=20, variant=variant, name="x").eigenvalues
    assert participation_ratio(one) == pytest.approx(1, rel=1e-4)
    zero = Covariance(torch.zeros(30, 30, dtype=torch.float64), trace=0.0, width=30, n_tokens=9)
    assert not estimator(zero, rank=4, variant=variant, name="x").eigenvalues.any()
