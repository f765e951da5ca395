"""The symmetric product against numpy, whatever precision its surroundings ask for."""

import numpy as np
import pytest
import torch

from nervelab.spectra.products import add_gram, full_precision, mirrored


def gram(rows: torch.Tensor) -> np.ndarray:
    upper = torch.zeros(rows.shape[1], rows.shape[1], dtype=torch.float64)
    add_gram(upper, rows)
    return mirrored(upper).numpy()


@pytest.mark.parametrize("width", [1, 7, 64, 65, 200, 600])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_it_is_the_product(width: int, dtype: torch.dtype) -> None:
    rows = torch.randn(50, width, generator=torch.Generator().manual_seed(0)).to(dtype)
    exact = rows.double().numpy().T @ rows.double().numpy()
    tolerance = 1e-6 if dtype == torch.float32 else 1e-13
    assert np.abs(gram(rows) - exact).max() <= tolerance * exact.max()


def test_it_adds_to_what_is_there() -> None:
    rows = torch.arange(6.0).reshape(2, 3)
    upper = torch.zeros(3, 3, dtype=torch.float64)
    add_gram(upper, rows)
    add_gram(upper, rows)
    assert torch.equal(mirrored(upper), 2 * (rows.T @ rows).double())


@pytest.mark.parametrize("factor", [1e-30, 1e-12, 1e12, 1e30])
def test_squares_beyond_float32_survive(factor: float) -> None:
    rows = torch.randn(20, 5, generator=torch.Generator().manual_seed(0)) * factor
    exact = rows.double().numpy().T @ rows.double().numpy()
    np.testing.assert_allclose(gram(rows), exact, rtol=1e-5, atol=1e-6 * exact.max())


def test_zero_rows_give_zero() -> None:
    assert not gram(torch.zeros(4, 3)).any()


def test_neither_autocast_nor_fast_matmul_changes_a_bit() -> None:
    rows = torch.randn(64, 32, generator=torch.Generator().manual_seed(0))
    expected = gram(rows)
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert (rows.T @ rows).dtype == torch.bfloat16
            assert np.array_equal(gram(rows), expected)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")


def test_the_callers_precision_returns_after_an_error() -> None:
    torch.backends.cuda.matmul.fp32_precision = "tf32"
    try:
        with pytest.raises(RuntimeError, match="ieee"), full_precision("cpu"):
            raise RuntimeError(torch.backends.cuda.matmul.fp32_precision)
        assert torch.backends.cuda.matmul.fp32_precision == "tf32"
    finally:
        torch.backends.cuda.matmul.fp32_precision = "none"
