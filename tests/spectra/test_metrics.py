"""The metrics against closed forms, scipy, and the invariances that define them."""

import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from nervelab.spectra.metrics import (
    early_enrichment,
    js_divergence,
    paired_metrics,
    participation_ratio,
    spectral_entropy,
)
from nervelab.spectra.spectrum import Spectrum
from tests.spectra import spectral_oracle as oracle

SINGLE = (spectral_entropy, participation_ratio, early_enrichment)
WIDTH = 24
# Eigenvalues over twelve orders of magnitude, and zeros; at least one is positive.
spectra = arrays(np.float64, WIDTH, elements=st.one_of(st.just(0.0), st.floats(1e-9, 1e3))).filter(np.any)


@pytest.mark.parametrize("width", [1, 2, 768])
def test_flat_spectrum(width: int) -> None:
    flat = np.full(width, 0.3)
    assert spectral_entropy(flat) == pytest.approx(math.log(width), rel=1e-12)
    assert participation_ratio(flat) == pytest.approx(width, rel=1e-12)
    assert early_enrichment(flat) == pytest.approx(0, abs=1e-14)


@pytest.mark.parametrize("width", [1, 2, 768])
def test_lone_eigenvalue(width: int) -> None:
    lone = np.zeros(width)
    lone[0] = 7.0
    assert spectral_entropy(lone) == 0
    assert participation_ratio(lone) == 1
    assert early_enrichment(lone) == pytest.approx((width - 1) / width, rel=1e-14)


def test_flat_block_of_k() -> None:
    """k equal eigenvalues of D: SE = ln k, PR = k, EEE = 1 - k/D; JS of blocks a < b by hand."""
    a, b, width = 5, 20, 100
    block = (np.arange(width) < a).astype(float)
    wider = (np.arange(width) < b).astype(float)
    assert spectral_entropy(block) == pytest.approx(math.log(a))
    assert participation_ratio(block) == pytest.approx(a)
    assert early_enrichment(block) == pytest.approx(1 - a / width)
    mixed = (1 / a + 1 / b) / 2
    by_hand = (math.log(1 / a / mixed) + a / b * math.log(1 / b / mixed) + (b - a) / b * math.log(2)) / 2
    assert js_divergence(block, wider) == pytest.approx(by_hand, rel=1e-12)


@given(spectra)
def test_definitions(values: np.ndarray) -> None:
    expected = oracle.metrics(np.sort(values)[::-1])
    assert [metric(values) for metric in SINGLE] == pytest.approx(expected, rel=1e-9, abs=1e-12)


@given(spectra, spectra)
def test_js_is_scipys_and_bounded(p: np.ndarray, q: np.ndarray) -> None:
    value = js_divergence(p, q)
    assert value == pytest.approx(oracle.js(np.sort(p)[::-1], np.sort(q)[::-1]), rel=1e-6, abs=1e-14)
    assert value == js_divergence(q, p)
    assert js_divergence(p, p) == 0
    assert 0 <= value <= math.log(2) + 1e-12


def test_js_keeps_its_digits_where_spectra_nearly_agree() -> None:
    """For p and p (1 + e u) with sum p u = 0, JS = e^2 sum(p u^2) / 8 to leading order; the textbook form gives 0."""
    p = np.array([0.4, 0.3, 0.2, 0.1])
    u = np.array([1.0, 1.0, -2.0, -3.0])
    e = 1e-9
    assert (p * u).sum() == pytest.approx(0, abs=1e-15)
    assert js_divergence(p, p * (1 + e * u)) == pytest.approx(e**2 * (p * u**2).sum() / 8, rel=1e-5)


@given(spectra)
def test_bounds(values: np.ndarray) -> None:
    assert 0 <= spectral_entropy(values) <= math.log(WIDTH) + 1e-12
    assert 1 - 1e-12 <= participation_ratio(values) <= WIDTH + 1e-9
    assert -1e-12 <= early_enrichment(values) < 1


@given(spectra, spectra, st.integers(-12, 12))
def test_scale_invariance(p: np.ndarray, q: np.ndarray, power: int) -> None:
    """Activations scaled by c scale eigenvalues by c^2; c from 1e-12 to 1e12 on either side changes nothing."""
    factor = 10.0 ** (2 * power)
    for metric in SINGLE:
        assert metric(p * factor) == pytest.approx(metric(p), rel=1e-12, abs=1e-13)
    assert js_divergence(p * factor, q / factor) == pytest.approx(js_divergence(p, q), rel=1e-9, abs=1e-15)


@pytest.mark.parametrize("factor", [1e-300, 1e300])
def test_no_overflow_at_the_ends_of_float64(factor: float) -> None:
    assert participation_ratio(np.array([3.0, 1.0]) * factor) == pytest.approx(1.6)


def test_zero_spectrum_is_nan() -> None:
    zero = np.zeros(4)
    assert all(math.isnan(metric(zero)) for metric in SINGLE)
    assert math.isnan(js_divergence(zero, np.ones(4)))


@pytest.mark.parametrize("bad", [[1.0, -1e-3], [1.0, math.nan], [math.inf, 1.0], [], [[1.0, 0.0]]])
def test_what_is_no_spectrum_is_refused(bad: list) -> None:
    with pytest.raises(ValueError, match="non-negative"):
        spectral_entropy(bad)


def test_paired_metrics_have_the_columns_of_the_table() -> None:
    pre = Spectrum(np.array([1.0, 0, 0, 0]), n_tokens=9, solver="hand")
    post = Spectrum(np.ones(4), n_tokens=9, solver="hand")
    row = paired_metrics(pre, post)
    js = (math.log(1 / 0.625) + 0.25 * math.log(0.25 / 0.625) + 0.75 * math.log(2)) / 2
    assert list(row) == [
        "se_pre", "se_post", "pr_pre", "pr_post", "eee_pre", "eee_post", "js", "pr_gain", "delta_eee",
        "n_tokens", "width",
    ]  # fmt: skip
    assert list(row.values()) == pytest.approx([0, math.log(4), 1, 4, 0.75, 0, js, 4, -0.75, 9, 4])


def test_a_mismatched_pair_is_refused() -> None:
    pre = Spectrum(np.ones(4), n_tokens=9, solver="hand")
    with pytest.raises(ValueError, match="not a pair"):
        paired_metrics(pre, Spectrum(np.ones(4), n_tokens=8, solver="hand"))
    with pytest.raises(ValueError, match="matched by rank"):
        js_divergence(np.ones(4), np.ones(5))


def test_the_analysis_needs_no_torch() -> None:
    code = "import sys, nervelab.spectra.metrics; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
