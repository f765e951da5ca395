"""A real SYRK on the CPU: that of scipy's OpenBLAS, in six sevenths of the time of torch's blocks."""

import ctypes
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import scipy
import torch
from scipy.linalg.blas import ssyrk
from torch import Tensor


def syrk(rows_ND: Tensor) -> Tensor | None:
    """rows^T rows [D, D], valid on and above the diagonal, of float32 rows on the CPU; of others None.

    It runs on as many threads as torch does. Whether it is used depends on the installation alone, never on a timing,
    so that two executions on one machine give the same bits.
    """
    if rows_ND.device.type != "cpu" or rows_ND.dtype != torch.float32 or not available():
        return None
    return _on_threads_of_torch(rows_ND, *_thread_controls())


@cache
def available() -> bool:
    """Whether OpenBLAS lets its threads be set, and gives the product of a small matrix."""
    controls = _thread_controls()
    if controls is None:
        return False
    rows_ND = torch.from_numpy(np.random.default_rng(0).standard_normal((33, 70), dtype=np.float32))
    exact_DD = rows_ND.double().T @ rows_ND.double()
    error_DD = (_on_threads_of_torch(rows_ND, *controls).double() - exact_DD).triu().abs()
    return bool(error_DD.max() <= 1e-6 * exact_DD.max())


def _on_threads_of_torch(rows_ND: Tensor, get: Callable[[], int], set_: Callable[[int], None]) -> Tensor:
    width = rows_ND.shape[1]
    into_DD = np.empty((width, width), dtype=np.float32, order="F")
    before = get()
    set_(torch.get_num_threads())
    try:
        # Column-major: rows.T is read as it lies, and the lower triangle is the upper one of the transpose.
        product_DD = ssyrk(1.0, rows_ND.contiguous().numpy().T, c=into_DD, lower=1, overwrite_c=1)
    finally:
        set_(before)
    return torch.from_numpy(product_DD.T)


@cache
def _thread_controls() -> tuple[Callable[[], int], Callable[[int], None]] | None:
    """Reads and sets the threads of the OpenBLAS that scipy's wheel carries; None for any other scipy."""
    folder = Path(scipy.__file__).parent.parent / "scipy.libs"
    for path in sorted(folder.glob("libscipy_openblas-*.so")):
        library = ctypes.CDLL(str(path))
        if hasattr(library, "scipy_openblas_set_num_threads") and hasattr(library, "scipy_openblas_get_num_threads"):
            return library.scipy_openblas_get_num_threads, library.scipy_openblas_set_num_threads
    return None
