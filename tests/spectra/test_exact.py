"""Exact spectra and their metrics against float64 numpy on adversarial activations."""

import numpy as np
import pytest
import torch

from nervelab.spectra.covariance import compressed, direct, projected
from nervelab.spectra.exact import exact_spectrum
from nervelab.spectra.metrics import early_enrichment, js_divergence, participation_ratio, spectral_entropy
from nervelab.spectra.moments import DOUBLE_WIDTH, Moments, NonFiniteError
from nervelab.spectra.spectrum import Spectrum
from tests.spectra import spectral_oracle as oracle

NARROW, WIDE = 96, DOUBLE_WIDTH + 48


def moments_of(x: torch.Tensor, chunk: int = 256, *, double: bool = False) -> Moments:
    moments = Moments(double=double)
    for rows in x.split(chunk):
        moments.update(rows)
    return moments


def direct_spectrum(moments: Moments) -> Spectrum:
    return exact_spectrum(direct(moments))


def projected_spectrum(moments: Moments, weight: torch.Tensor) -> Spectrum:
    return exact_spectrum(projected(moments, compressed(weight), width=len(weight)))


def metrics(values: np.ndarray) -> list[float]:
    return [spectral_entropy(values), participation_ratio(values), early_enrichment(values)]


def assert_exact(found: np.ndarray, expected: np.ndarray, tolerance: float) -> None:
    assert np.abs(found - expected).max() <= tolerance * expected[0]
    assert metrics(found) == pytest.approx(oracle.metrics(expected), rel=tolerance)


@pytest.mark.parametrize(("width", "tolerance"), [(NARROW, 1e-9), (WIDE, 1e-5)])
@pytest.mark.parametrize("kind", oracle.KINDS)
def test_direct(kind: str, width: int, tolerance: float) -> None:
    x = oracle.activations(kind, n=1200, width=width)
    expected = oracle.eigenvalues(x)
    spectrum = direct_spectrum(moments_of(x))
    assert (spectrum.width, spectrum.n_tokens, spectrum.estimator) == (width, 1200, "full")
    assert_exact(spectrum.eigenvalues, expected, tolerance)
    random = oracle.eigenvalues(oracle.activations("random", n=1200, width=width))
    found = js_divergence(spectrum.eigenvalues, random)
    assert found == pytest.approx(oracle.js(expected, random), rel=tolerance, abs=1e-12)


@pytest.mark.parametrize("width", [4 * 48, 49, 48, 20, 1])
@pytest.mark.parametrize("kind", oracle.KINDS)
def test_projected_is_the_spectrum_of_the_pre_activation(kind: str, width: int) -> None:
    """Wide, square and narrow W; only x is streamed, the oracle forms W x + b."""
    x = oracle.activations(kind, n=700, width=48)
    weight = oracle.activations("random", n=width, width=48, seed=1)
    pre = x.double().numpy() @ weight.double().numpy().T + 3.0
    expected = np.atleast_1d(oracle.eigenvalues(pre) if width > 1 else np.cov(pre, rowvar=False))
    spectrum = projected_spectrum(moments_of(x), weight)
    assert spectrum.width == width
    assert not spectrum.eigenvalues[48:].any()
    assert_exact(spectrum.eigenvalues, expected, 1e-9)


@pytest.mark.parametrize("shape", [(200, 48), (40, 48)])
def test_projected_with_a_rank_deficient_weight(shape: tuple[int, int]) -> None:
    x = oracle.activations("random", n=700, width=shape[1])
    weight = oracle.activations("rank-deficient", n=shape[0], width=shape[1])
    expected = oracle.eigenvalues(x.double().numpy() @ weight.double().numpy().T)
    assert_exact(projected_spectrum(moments_of(x), weight).eigenvalues, expected, 1e-9)


@pytest.mark.parametrize("kind", oracle.KINDS)
def test_double_is_float64_at_every_width(kind: str) -> None:
    x = oracle.activations(kind, n=WIDE + 100, width=WIDE)
    spectrum = direct_spectrum(moments_of(x, double=True))
    assert "float64" in spectrum.solver
    assert_exact(spectrum.eigenvalues, oracle.eigenvalues(x), 1e-9)


@pytest.mark.parametrize("kind", oracle.KINDS)
def test_js_of_float32_is_off_by_at_most_millionths(kind: str) -> None:
    """Little beside 0.1, and more the nearer the FFN is to linear: so narrow layers are float64."""
    x = oracle.activations(kind, n=1200, width=WIDE)
    other = oracle.eigenvalues(oracle.activations("power-law", n=1200, width=WIDE))
    found, exact = direct_spectrum(moments_of(x)).eigenvalues, oracle.eigenvalues(x)
    assert js_divergence(found, other) == pytest.approx(js_divergence(exact, other), abs=3e-6)


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("kind", oracle.KINDS)
@pytest.mark.parametrize("n", [30, WIDE - 10])
def test_fewer_tokens_than_units(kind: str, n: int, double: bool) -> None:
    """The Gram matrix of the tokens is solved, and its spectrum is that of the covariance."""
    x = oracle.activations(kind, n=n, width=WIDE)
    moments = moments_of(x, double=double)
    assert direct(moments).size == n
    assert direct(moments, as_gram=False).size == WIDE
    assert_exact(direct_spectrum(moments).eigenvalues, oracle.eigenvalues(x), 1e-9 if double else 1e-5)


def test_fewer_tokens_than_units_leave_exact_zeros() -> None:
    x = oracle.activations("random", n=30, width=WIDE)
    found = direct_spectrum(moments_of(x)).eigenvalues
    assert np.count_nonzero(found) == 29
    assert_exact(found, oracle.eigenvalues(x), 1e-5)


@pytest.mark.parametrize("factor", [1e-12, 1e-6, 1e6, 1e12])
@pytest.mark.parametrize("width", [NARROW, WIDE])
def test_scaled_float32_activations_have_the_same_metrics(width: int, factor: float) -> None:
    """A factor that is no power of two rounds each activation anew: 6e-8 of it, which the metrics may show."""
    x = oracle.activations("power-law", n=1000, width=width)
    expected = direct_spectrum(moments_of(x)).eigenvalues
    found = direct_spectrum(moments_of(x * factor)).eigenvalues
    single = width > DOUBLE_WIDTH
    assert metrics(found) == pytest.approx(metrics(expected), rel=1e-5 if single else 1e-6)
    np.testing.assert_allclose(found / factor**2, expected, rtol=0, atol=1e-6 * expected[0])
    assert js_divergence(found, expected) < (1e-8 if single else 1e-12)


def test_rotation_invariance() -> None:
    x = oracle.activations("power-law", n=1000, width=NARROW).double()
    rotation = np.linalg.qr(np.random.default_rng(3).standard_normal((NARROW, NARROW)))[0]
    turned = direct_spectrum(moments_of(x @ torch.from_numpy(rotation))).eigenvalues
    straight = direct_spectrum(moments_of(x)).eigenvalues
    np.testing.assert_allclose(turned, straight, rtol=0, atol=1e-13 * straight[0])
    assert metrics(turned) == pytest.approx(metrics(straight), rel=1e-10)


@pytest.mark.parametrize("value", [0.0, 1.25])
@pytest.mark.parametrize("n", [50, 4])
def test_constant_activations_have_a_zero_spectrum(value: float, n: int) -> None:
    x = torch.full((n, 6), value)
    for spectrum in (direct_spectrum(moments_of(x)), projected_spectrum(moments_of(x), torch.ones(6, 6))):
        assert spectrum.eigenvalues.tolist() == [0] * 6
        assert spectrum.solver == "none: zero covariance"
        assert np.isnan(metrics(spectrum.eigenvalues)).all()


def test_one_unit_has_one_eigenvalue() -> None:
    x = oracle.activations("random", n=50, width=1)
    spectrum = direct_spectrum(moments_of(x))
    assert spectrum.eigenvalues == pytest.approx([x.double().numpy().var(ddof=1)], rel=1e-12)
    assert metrics(spectrum.eigenvalues) == [0, 1, 0]


def test_a_failing_solver_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    x = oracle.activations("power-law", n=1200, width=WIDE)
    monkeypatch.setattr(torch.linalg, "eigvalsh", lambda _matrix: torch.full((WIDE,), torch.nan))
    spectrum = direct_spectrum(moments_of(x))
    assert "numpy" in spectrum.solver
    assert_exact(spectrum.eigenvalues, oracle.eigenvalues(x), 1e-5)


def test_non_finite_weights_are_told() -> None:
    with pytest.raises(NonFiniteError, match="a weight to 24 units"):
        projected_spectrum(moments_of(torch.randn(50, 6)), torch.full((24, 6), torch.inf))


def test_a_weight_of_another_layer_is_refused() -> None:
    with pytest.raises(ValueError, match="5 inputs"):
        projected_spectrum(moments_of(torch.randn(50, 6)), torch.ones(24, 5))
