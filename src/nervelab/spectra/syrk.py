"""A real SYRK on the CPU: that of scipy's OpenBLAS, in six sevenths of the time of torch's blocks."""

import ctypes
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

# Of the CBLAS interface: by rows, the upper triangle, of the transpose times the matrix.
ROW_MAJOR, UPPER, TRANSPOSED = 101, 121, 112


class _OpenBLAS(NamedTuple):
    """What is called of the library."""

    ssyrk: Callable[..., None]
    threads: Callable[[], int]
    set_threads: Callable[[int], None]


def syrk(rows_ND: Tensor) -> Tensor | None:
    """rows^T rows [D, D], valid on and above the diagonal, of float32 rows on the CPU; of others None.

    It runs on as many threads as torch does. Whether it is used depends on the installation alone, never on a timing,
    so that two executions on one machine give the same bits.
    """
    if rows_ND.device.type != "cpu" or rows_ND.dtype != torch.float32 or not available():
        return None
    return _on_threads_of_torch(rows_ND, _openblas())


@cache
def available() -> bool:
    """Whether OpenBLAS lets its threads be set, and gives the product of a small matrix."""
    library = _openblas()
    if library is None:
        return False
    rows_ND = torch.from_numpy(np.random.default_rng(0).standard_normal((33, 70), dtype=np.float32))
    exact_DD = rows_ND.double().T @ rows_ND.double()
    error_DD = (_on_threads_of_torch(rows_ND, library).double() - exact_DD).triu().abs()
    return bool(error_DD.max() <= 1e-6 * exact_DD.max())


def _on_threads_of_torch(rows_ND: Tensor, library: _OpenBLAS) -> Tensor:
    rows_ND = rows_ND.contiguous()
    count, width = rows_ND.shape
    product_DD = rows_ND.new_empty(width, width)
    before = library.threads()
    library.set_threads(torch.get_num_threads())
    try:
        library.ssyrk(
            ROW_MAJOR, UPPER, TRANSPOSED, width, count,
            1.0, rows_ND.data_ptr(), width, 0.0, product_DD.data_ptr(), width,
        )  # fmt: skip
    finally:
        library.set_threads(before)
    return product_DD


@cache
def _openblas() -> _OpenBLAS | None:
    """The OpenBLAS that scipy's wheel carries; None for any other scipy. Importing scipy itself takes a while."""
    scipy = find_spec("scipy")
    if scipy is None or scipy.origin is None:
        return None
    for path in sorted((Path(scipy.origin).parent.parent / "scipy.libs").glob("libscipy_openblas-*.so")):
        library = ctypes.CDLL(str(path))
        names = [f"scipy_{name}" for name in ("cblas_ssyrk", "openblas_get_num_threads", "openblas_set_num_threads")]
        if all(hasattr(library, name) for name in names):
            ssyrk, threads, set_threads = (getattr(library, name) for name in names)
            ssyrk.restype = None
            ssyrk.argtypes = [ctypes.c_int] * 5 + [ctypes.c_float, ctypes.c_void_p, ctypes.c_int] * 2
            return _OpenBLAS(ssyrk, threads, set_threads)
    return None
