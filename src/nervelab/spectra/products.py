"""Products of activations in full precision; the one place for a faster symmetric kernel."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


@contextmanager
def full_precision(device_type: str) -> Iterator[None]:
    """Neither autocast nor reduced-precision float32 products (TF32, bf16x1) inside the block.

    Second moments in bf16 put the JS divergence off by a tenth; in TF32 they have negative eigenvalues and a
    tail that is not there.
    """
    backends = (torch.backends.cuda.matmul, torch.backends.mkldnn.matmul)
    before = [backend.fp32_precision for backend in backends]
    for backend in backends:
        backend.fp32_precision = "ieee"
    try:
        with torch.autocast(device_type, enabled=False):
            yield
    finally:
        for backend, precision in zip(backends, before, strict=True):
            backend.fp32_precision = precision


def add_gram(upper_DD: Tensor, rows_ND: Tensor) -> None:
    """Add rows^T rows to the upper triangle of `upper_DD`, in place; `mirrored` completes it.

    Only blocks on and above the diagonal are multiplied, little more than half of the full product. They are
    formed in the dtype of the rows and added in that of the sum.

    Args:
        upper_DD: the sum, float64; blocks below the diagonal hold nothing of use.
        rows_ND: float32 or float64.
    """
    size = max(64, -(-rows_ND.shape[1] // 8))
    with full_precision(rows_ND.device.type):
        rows_ND, restore = _in_range(rows_ND)
        for start in range(0, rows_ND.shape[1], size):
            block = rows_ND[:, start : start + size].T @ rows_ND[:, start:]
            upper_DD[start : start + size, start:].addcmul_(block.to(upper_DD.dtype), restore)


def mirrored(upper_DD: Tensor) -> Tensor:
    """The symmetric matrix whose upper triangle is that of `upper_DD`."""
    return upper_DD.triu() + upper_DD.triu(1).T


def _in_range(rows_ND: Tensor) -> tuple[Tensor, Tensor]:
    """The rows with float32 ones brought to about 1 by a power of two, and what undoes that in a product.

    It costs no accuracy, and the squares of tiny and of huge activations stay within float32.
    """
    if rows_ND.dtype == torch.float64:
        return rows_ND, rows_ND.new_ones(())
    largest = torch.linalg.vector_norm(rows_ND, float("inf"))
    scale = torch.ldexp(torch.ones_like(largest), -torch.frexp(largest).exponent)
    return rows_ND * scale, scale.double() ** -2
