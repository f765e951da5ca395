"""The symmetric product against numpy, whatever precision its surroundings ask for."""

import numpy as np
import pytest
import torch

from nervelab.spectra.products import SymmetricSum, full_precision


def gram(rows: torch.Tensor) -> np.ndarray:
    total = SymmetricSum(rows.shape[1], rows.device)
    total.add_gram(rows)
    return total.dense().numpy()


@pytest.fixture(params=["torch", "fastest"], autouse=True)
def kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test runs on torch alone, and on whatever faster kernel was found."""
    monkeypatch.setattr(SymmetricSum, "kernels", request.param == "fastest")


@pytest.mark.parametrize("width", [1, 7, 64, 65, 200, 600])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_it_is_the_product(width: int, dtype: torch.dtype) -> None:
    rows = torch.randn(50, width, generator=torch.Generator().manual_seed(0)).to(dtype)
    exact = rows.double().numpy().T @ rows.double().numpy()
    tolerance = 1e-6 if dtype == torch.float32 else 1e-13
    found = gram(rows)
    assert np.abs(found - exact).max() <= tolerance * exact.max()
    assert np.array_equal(found, found.T)


def test_rows_may_lie_in_memory_in_any_way() -> None:
    columns = torch.randn(90, 70, generator=torch.Generator().manual_seed(0))
    for rows in (columns.T, columns[::2], columns[:, 5:40]):
        np.testing.assert_allclose(gram(rows), gram(rows.contiguous()), rtol=0, atol=1e-4)


def test_it_adds_to_what_is_there() -> None:
    rows = torch.arange(6.0).reshape(2, 3)
    total = SymmetricSum(3, rows.device)
    total.add_gram(rows)
    total.add_gram(rows)
    assert torch.equal(total.dense(0.5), (rows.T @ rows).double())


@pytest.mark.parametrize("width", [5, 150])
def test_outer_products_and_the_diagonal(width: int) -> None:
    a, b = torch.randn(2, width, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    total = SymmetricSum(width, a.device)
    total.add_outer(a, b)
    total.add_outer(b, a)
    expected = torch.outer(a, b) + torch.outer(b, a)
    torch.testing.assert_close(total.dense(), expected)
    torch.testing.assert_close(total.diagonal(), expected.diagonal())


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
