"""BKQ on spectra that are given: close, or it says so and the exact path takes over."""

import math

import numpy as np
import pytest
import torch

from nervelab.spectra import quadrature
from nervelab.spectra.covariance import Covariance, compressed, direct, projected
from nervelab.spectra.exact import exact_spectrum
from nervelab.spectra.metrics import early_enrichment, js_divergence, participation_ratio, spectral_entropy
from nervelab.spectra.moments import Moments
from nervelab.spectra.quadrature import EEE_SCALE, krylov_quadrature, tilted
from tests.spectra.spectra_by_design import ADVERSARIAL, DEGENERATE, RANKS, WIDTH, covariance


def errors(found: np.ndarray, exact: np.ndarray) -> list[float]:
    pairs = [(metric(found), metric(exact)) for metric in (spectral_entropy, participation_ratio, early_enrichment)]
    return [abs(ours - theirs) / max(abs(theirs), EEE_SCALE) for ours, theirs in pairs]


@pytest.mark.parametrize(("block", "steps"), [(16, 24), (16, 16), (8, 32)])
@pytest.mark.parametrize("name", ADVERSARIAL)
def test_adversarial_spectra(name: str, block: int, steps: int) -> None:
    values = ADVERSARIAL[name]
    spectrum = krylov_quadrature(covariance(values), block=block, steps=steps)
    assert spectrum.estimator == f"bkq-{block}x{steps}"
    assert spectrum.eigenvalues.sum() == pytest.approx(7, rel=1e-5)
    assert max(errors(spectrum.eigenvalues, values)) < 0.01
    other = 1 / RANKS**0.7
    exact = js_divergence(np.sort(values)[::-1], other)
    assert js_divergence(spectrum.eigenvalues, other) == pytest.approx(exact, rel=0.01)


@pytest.mark.parametrize("name", DEGENERATE)
def test_degenerate_spectra(name: str) -> None:
    se, pr, eee = errors(
        krylov_quadrature(covariance(DEGENERATE[name]), block=16, steps=24).eigenvalues, DEGENERATE[name]
    )
    assert se < 0.01
    assert pr < 0.03
    assert eee < 0.01


def test_activations_of_an_ffn() -> None:
    """Residual stream of a power-law spectrum, GELU; the pre-activation exact, as in the engine."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(6000, 300, generator=generator) * torch.arange(1, 301) ** -0.6
    weight = torch.randn(1200, 300, generator=generator) / 300**0.5
    before, after = Moments(), Moments()
    before.update(x)
    after.update(torch.nn.functional.gelu(x @ weight.T))
    pre = exact_spectrum(projected(before, compressed(weight), width=1200)).eigenvalues
    exact = exact_spectrum(direct(after)).eigenvalues
    spectrum = krylov_quadrature(direct(after), block=16, steps=24)
    assert spectrum.solver.startswith("block Krylov")
    assert max(errors(spectrum.eigenvalues, exact)) < 1e-3
    assert js_divergence(pre, spectrum.eigenvalues) == pytest.approx(js_divergence(pre, exact), rel=0.01)


def test_the_error_is_more_than_it_turns_out_to_be() -> None:
    """On smooth spectra the comparison with fewer steps is an upper estimate."""
    for name in ("marchenko-pastur", "power-law", "exponential"):
        spectrum = krylov_quadrature(covariance(ADVERSARIAL[name]), block=16, steps=24)
        assert max(errors(spectrum.eigenvalues, ADVERSARIAL[name])) < 2 * spectrum.error < 0.02


def test_more_steps_come_nearer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quadrature, "TRIGGER", math.inf)
    given = covariance(ADVERSARIAL["exponential"])
    found = [krylov_quadrature(given, block=8, steps=steps).eigenvalues for steps in (6, 16, 48)]
    off = [js_divergence(values, ADVERSARIAL["exponential"]) for values in found]
    assert off[0] > 2 * off[1] > 4 * off[2]


def test_an_expected_error_above_one_per_cent_is_answered_exactly() -> None:
    spectrum = krylov_quadrature(covariance(ADVERSARIAL["stepped"]), block=16, steps=24)
    assert "for bkq-16x24: an expected error of" in spectrum.solver
    exact = np.sort(ADVERSARIAL["stepped"])[::-1]
    np.testing.assert_allclose(spectrum.eigenvalues / 7, exact / exact.sum(), rtol=0, atol=1e-7)


def test_a_small_matrix_is_solved_exactly() -> None:
    spectrum = krylov_quadrature(covariance(1.0 / RANKS[:200], width=800), block=16, steps=24)
    assert "16x24 is no saving at size 200" in spectrum.solver
    np.testing.assert_allclose(spectrum.eigenvalues[:200] * RANKS[:200], spectrum.eigenvalues[0], rtol=1e-9)
    assert not spectrum.eigenvalues[200:].any()


def test_few_tokens_bound_the_rank() -> None:
    values = np.where(RANKS < 600, 1.0 / RANKS, 0)
    spectrum = krylov_quadrature(covariance(values, n_tokens=600), block=8, steps=24)
    assert np.count_nonzero(spectrum.eigenvalues) <= 599
    assert max(errors(spectrum.eigenvalues, values)) < 0.01


def test_float32_that_would_lose_the_tail_gives_way_to_float64() -> None:
    values = np.where(RANKS == 1, 1.0, 1e-8)
    values[:300] += np.exp(-RANKS[:300] / 1.5)
    spectrum = krylov_quadrature(covariance(values), block=16, steps=24)
    assert "float64" in spectrum.solver
    assert max(errors(spectrum.eigenvalues, values)) < 0.01


def test_zero_and_repetition() -> None:
    zero = Covariance(torch.zeros(WIDTH, WIDTH, dtype=torch.float64), trace=0.0, width=WIDTH, n_tokens=99)
    assert not krylov_quadrature(zero, block=4, steps=4).eigenvalues.any()
    given = covariance(ADVERSARIAL["power-law"])
    once, again = (krylov_quadrature(given, block=8, steps=16).eigenvalues for _ in range(2))
    assert np.array_equal(once, again)


@pytest.mark.parametrize("square", [None, 9.0])
def test_tilting_meets_what_is_wanted(square: float | None) -> None:
    nodes, masses = np.array([3.0, 1.0, 0.5, 0.0]), np.array([0.5, 2.0, 3.0, 4.0])
    found = tilted(nodes, masses, (10.0, 6.0, square))
    assert (found > 0).all()
    assert [found.sum(), found @ nodes] == pytest.approx([10, 6])
    if square:
        assert found @ nodes**2 == pytest.approx(9)
