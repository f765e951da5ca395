"""Eigenvalues of a covariance matrix, whatever the solver of the day does."""

import numpy as np
import torch
from torch import Tensor

from nervelab.spectra.moments import NonFiniteError


def eigenvalues(covariance_DD: Tensor) -> tuple[np.ndarray, str]:
    """The eigenvalues of a symmetric positive semi-definite matrix, descending, and what found them.

    The matrix is solved at unit trace, in float64: a float32 solver is about a third cheaper but leaves 1e-7
    of the largest eigenvalue in place of zeros, more than all other rounding. Should torch's solver raise or
    return non-finite values (cuSOLVER has done both), LAPACK solves it through numpy on the CPU, and the
    second result says so. Rounding below zero is set to zero.

    Raises:
        NonFiniteError: the matrix is not finite.
    """
    covariance_DD = covariance_DD.double()
    if not torch.isfinite(covariance_DD).all():
        raise NonFiniteError(f"a {len(covariance_DD)} x {len(covariance_DD)} covariance is not finite")
    trace = covariance_DD.trace().item()
    if trace <= 0:
        return np.zeros(len(covariance_DD)), "none: zero covariance"
    unit_DD = covariance_DD / trace
    try:
        values = torch.linalg.eigvalsh(unit_DD).cpu().numpy()
        failure = None if np.isfinite(values).all() else "non-finite values"
    except RuntimeError as error:  # torch.linalg.LinAlgError and what cuSOLVER reports are both of this kind
        failure = str(error).partition("\n")[0]
    if failure is None:
        solver = f"torch eigvalsh float64 {covariance_DD.device.type}"
    else:
        values = np.linalg.eigvalsh(unit_DD.cpu().numpy())
        solver = f"numpy eigvalsh float64 cpu, after torch on {covariance_DD.device.type}: {failure}"
    return np.clip(values[::-1], 0, None) * trace, solver
