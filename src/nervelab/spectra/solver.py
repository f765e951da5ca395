"""Eigenvalues of a covariance matrix, whatever the solver of the day does."""

import numpy as np
import torch
from torch import Tensor

from nervelab.spectra.moments import DOUBLE_WIDTH, NonFiniteError

# What a float32 solver leaves in place of a zero, in units of the largest eigenvalue; in the tail of spectra that
# decay, as those of activations do, it is off by a hundredth of that.
FLOAT32_NOISE = 1e-7
# The share of SE that eigenvalues below that noise may carry; above it they might be rounding, and float64 decides.
FLOAT32_SHARE = 3e-6


def eigenvalues(covariance_DD: Tensor, *, double: bool = False) -> tuple[np.ndarray, str]:
    """The eigenvalues of a symmetric positive semi-definite matrix, descending, and what found them.

    The matrix is solved at unit trace; in float64 up to width 512 or if `double`, above it in float32, which takes
    half the time. A float32 solver leaves about 1e-7 of the largest eigenvalue in place of zeros. Where values as
    small as that carry a share of the spectral entropy that matters, and only there, float64 solves again.
    Should torch's solver raise or return non-finite values (cuSOLVER has done both), LAPACK solves it in float64
    through numpy on the CPU, and the second result says so. Rounding below zero is set to zero.

    Args:
        covariance_DD: float64, so that nothing was rounded yet.
        double: float64 at every width.

    Raises:
        NonFiniteError: the matrix is not finite.
    """
    covariance_DD = covariance_DD.double()
    if not torch.isfinite(covariance_DD).all():
        raise NonFiniteError(f"a {len(covariance_DD)} x {len(covariance_DD)} covariance is not finite")
    trace = covariance_DD.trace().item()
    if trace <= 0:
        return np.zeros(len(covariance_DD)), "none: zero covariance"
    if abs(trace - 1) < 1e-9:  # at unit trace already: a copy would be the largest piece of a measurement's memory
        trace = 1.0
    unit_DD = covariance_DD if trace == 1 else covariance_DD / trace
    single = not double and len(unit_DD) > DOUBLE_WIDTH
    values, solver = _solve(unit_DD.float() if single else unit_DD)
    if single and values is not None and _may_be_noise(values):
        values, solver = _solve(unit_DD)
        solver += ", as float32 cannot tell its smallest values from zero"
    if values is None:
        values = np.linalg.eigvalsh(unit_DD.cpu().numpy())
        solver = f"numpy eigvalsh float64 cpu, after torch on {covariance_DD.device.type}: {solver}"
    return np.clip(values[::-1], 0, None) * trace, solver


def eigenpairs(matrix_mm: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues [m], descending, and eigenvectors [m, m] in columns of a small float64 matrix on the CPU.

    numpy's LAPACK takes over should torch's fail.
    """
    try:
        values_m, vectors_mm = torch.linalg.eigh(matrix_mm)
    except torch.linalg.LinAlgError:
        values_m, vectors_mm = (torch.from_numpy(each) for each in np.linalg.eigh(matrix_mm.numpy()))
    return values_m.flip(0), vectors_mm.flip(1)


def _solve(unit_DD: Tensor) -> tuple[np.ndarray | None, str]:
    """Ascending eigenvalues and the solver, or None and what went wrong."""
    try:
        values = torch.linalg.eigvalsh(unit_DD).double().cpu().numpy()
    except RuntimeError as error:  # torch.linalg.LinAlgError and what cuSOLVER reports are both of this kind
        return None, str(error).partition("\n")[0]
    if not np.isfinite(values).all():
        return None, "non-finite values"
    return values, f"torch eigvalsh {str(unit_DD.dtype).removeprefix('torch.')} {unit_DD.device.type}"


def _may_be_noise(values: np.ndarray) -> bool:
    sizes = np.abs(values)
    terms = -sizes * np.log(np.maximum(sizes, np.finfo(float).tiny))
    return bool(terms[values < FLOAT32_NOISE * values[-1]].sum() > FLOAT32_SHARE * terms.sum())
