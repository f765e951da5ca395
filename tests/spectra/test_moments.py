"""Streamed moments against numpy's covariance of all rows at once."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nervelab.errors import NervelabError
from nervelab.spectra.moments import DOUBLE_WIDTH, Moments, NonFiniteError
from tests.spectra import spectral_oracle as oracle


def streamed(chunks: list[torch.Tensor]) -> Moments:
    moments = Moments()
    for chunk in chunks:
        moments.update(chunk)
    return moments


def covariance(x: torch.Tensor) -> np.ndarray:
    return np.cov(x.double().numpy(), rowvar=False)


def assert_close(moments: Moments, expected: np.ndarray, tolerance: float = 1e-9) -> None:
    assert np.abs(moments.covariance().numpy() - expected).max() <= tolerance * np.abs(expected).max()


@pytest.mark.parametrize("kind", oracle.KINDS)
def test_covariance_is_numpys(kind: str) -> None:
    x = oracle.activations(kind, n=500, width=40)
    moments = streamed(list(x.split(100)))
    assert (moments.n, moments.width) == (500, 40)
    assert_close(moments, covariance(x))


@pytest.mark.parametrize("kind", ["random", "large-mean"])
def test_float32_products_of_wide_layers(kind: str) -> None:
    x = oracle.activations(kind, n=1500, width=DOUBLE_WIDTH + 40)
    assert_close(streamed(list(x.split(700))), covariance(x), tolerance=1e-6)


def test_float64_rows_of_wide_layers_stay_float64() -> None:
    x = oracle.activations("random", n=100, width=DOUBLE_WIDTH + 40).double() / 3
    assert_close(streamed([x]), covariance(x), tolerance=1e-13)


@given(st.lists(st.integers(1, 40), min_size=1, max_size=8), st.data())
def test_any_chunking_and_merging_is_one_shot(sizes: list[int], data: st.DataObject) -> None:
    """Chunks are dealt to moments with their own pilots, on means of 1000 sigma, then merged in any order."""
    x = oracle.activations("large-mean", n=sum(sizes) + 1, width=6, seed=len(sizes))
    chunks = list(x.split([*sizes, 1]))
    parts = [Moments() for _ in range(3)]
    for chunk in chunks:
        data.draw(st.sampled_from(parts)).update(chunk)
    merged = Moments()
    for part in data.draw(st.permutations(parts)):
        merged.merge(part)
    assert merged.n == len(x)
    assert_close(merged, covariance(x))


def test_merging_leaves_the_other_alone() -> None:
    x = oracle.activations("random", n=60, width=5)
    other = streamed([x[:30]])
    merged = Moments()
    merged.merge(other)
    merged.update(x[30:])
    assert_close(other, covariance(x[:30]))
    assert_close(merged, covariance(x))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_activations_are_taken_as_they_are(dtype: torch.dtype) -> None:
    x = oracle.activations("random", n=300, width=8).to(dtype)
    assert_close(streamed([x]), covariance(x))


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("row", [0, 90])
@pytest.mark.parametrize("width", [4, DOUBLE_WIDTH + 1])
def test_non_finite_activations_are_told(bad: float, row: int, width: int) -> None:
    x = torch.ones(100, width)
    x[row, 2] = bad
    with pytest.raises(NonFiniteError, match=f"width {width}"):
        streamed(list(x.split(50))).covariance()


def test_one_token_has_no_covariance() -> None:
    with pytest.raises(NervelabError, match="at least 2 tokens, got 1"):
        streamed([torch.ones(1, 3), torch.ones(0, 3)]).covariance()
