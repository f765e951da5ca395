"""Symmetric products of activations in full precision; the one place for a faster kernel."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from nervelab.spectra.syrk import syrk

# A float32 row is brought to about 1 before it is squared if its largest entry lies outside of this range.
SAFE = (1e-12, 1e12)
BLOCKS = 8  # of more blocks each product is smaller, and slower; of fewer, more of the lower triangle is formed


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


class SymmetricSum:
    """A symmetric float64 matrix [D, D] that products are added to; its upper triangle is stored, in block rows.

    That is nine sixteenths of the full matrix, and little more than half of the work of the full product.

    Attributes:
        packed: the block rows one after another, float64; sums of matrices of one width are sums of these.
        kernels: whether kernels other than torch's may multiply, where they were found to work.
    """

    kernels = True

    def __init__(self, width: int, device: torch.device) -> None:
        self.width = width
        size = max(64, -(-width // BLOCKS))
        self._bounds = [(start, min(start + size, width)) for start in range(0, width, size)]
        lengths = [(stop - start) * (width - start) for start, stop in self._bounds]
        self.packed = torch.zeros(sum(lengths), dtype=torch.float64, device=device)
        self._blocks = [
            part.view(stop - start, width - start)
            for part, (start, stop) in zip(self.packed.split(lengths), self._bounds, strict=True)
        ]

    def add_gram(self, rows_ND: Tensor) -> None:
        """Add rows^T rows; formed in the dtype of the rows (float32 or float64), added in float64."""
        with full_precision(rows_ND.device.type):
            rows_ND, restore = _in_range(rows_ND)
            upper_DD = syrk(rows_ND) if self.kernels else None
            for (start, stop), block in zip(self._bounds, self._blocks, strict=True):
                if upper_DD is None:
                    product = rows_ND[:, start:stop].T @ rows_ND[:, start:]
                else:
                    product = upper_DD[start:stop, start:]
                block.add_(product.double(), alpha=restore)  # a sum of mixed precisions takes several times as long

    def add_outer(self, a_D: Tensor, b_D: Tensor) -> None:
        """Add the upper triangle of a b^T; a lower triangle that differs is lost."""
        for (start, stop), block in zip(self._bounds, self._blocks, strict=True):
            block.addr_(a_D[start:stop], b_D[start:])

    def diagonal(self) -> Tensor:
        """The diagonal [D]."""
        return torch.cat([block.diagonal() for block in self._blocks])

    def dense(self, scale: float = 1.0) -> Tensor:
        """The full matrix [D, D] times `scale`, exactly symmetric, float64."""
        full_DD = self.packed.new_empty(self.width, self.width)
        for (start, stop), block in zip(self._bounds, self._blocks, strict=True):
            torch.mul(block, scale, out=full_DD[start:stop, start:])
            full_DD[stop:, start:stop] = full_DD[start:stop, stop:].T
            corner = full_DD[start:stop, start:stop]
            corner.copy_(corner.triu() + corner.triu(1).T)
        return full_DD


def _in_range(rows_ND: Tensor) -> tuple[Tensor, float]:
    """Float32 rows whose squares stay within float32, and what undoes in a product the power of two that brought them.

    A power of two costs no accuracy.
    """
    if rows_ND.dtype == torch.float64:
        return rows_ND, 1.0
    largest = max(each.abs().item() for each in torch.aminmax(rows_ND))
    if SAFE[0] <= largest <= SAFE[1] or not 0 < largest < float("inf"):
        return rows_ND, 1.0
    exponent = torch.frexp(torch.tensor(largest, dtype=torch.float64)).exponent.item()
    return torch.ldexp(rows_ND, torch.tensor(-exponent, device=rows_ND.device)), 4.0**exponent
