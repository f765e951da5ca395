"""The leading part of a spectrum at rank k, as the paper approximates it (appendix G), with and without a tail.

The paper takes its metrics over the leading values alone: what the rest holds is missing from every sum. Its Lanczos
columns look like that. Its columns for the randomised SVD hardly change with the rank, as they would if eigenvalues
were squared on the way; both readings can be had here, under their own names. A moment-matched tail costs
nothing and takes most of the error away, as the trace and the squares of the whole are known exactly.
"""

import numpy as np
import torch
from torch import Tensor

from nervelab.spectra.covariance import Covariance
from nervelab.spectra.exact import exact_spectrum, spectrum_of
from nervelab.spectra.krylov import KrylovSpace, rademacher
from nervelab.spectra.products import full_precision
from nervelab.spectra.quadrature import CONVERGED
from nervelab.spectra.solver import eigenvalues
from nervelab.spectra.spectrum import Spectrum
from nervelab.spectra.tails import exponential_tail

OVERSAMPLING = 10
POWER_ITERATIONS = 2


@torch.no_grad()
def randomised_svd(covariance: Covariance, *, rank: int, variant: str, name: str, seed: int = 0) -> Spectrum:
    """The leading `rank` eigenvalues by randomised subspace iteration (Halko, Martinsson & Tropp 2011, algorithm 4.4).

    Args:
        covariance: of any size; at a rank of its size or more the exact eigenvalues are taken.
        rank: k.
        variant: '' as they are, 'squared', or 'tail': completed to D with an exponential tail.
        name: the estimator's name.
        seed: of the Gaussian test matrix.
    """
    if rank >= covariance.size or not covariance.trace:
        return _truncated(covariance, *_all_of(covariance), rank=rank, variant=variant, name=name)
    matrix_kk = covariance.working()
    generator = torch.Generator().manual_seed(seed)
    columns = min(rank + OVERSAMPLING, covariance.size)
    test_kc = torch.randn(covariance.size, columns, generator=generator, dtype=torch.float64)
    with full_precision(matrix_kk.device.type):
        basis_kc = torch.linalg.qr(matrix_kk @ test_kc.to(matrix_kk)).Q
        for _ in range(POWER_ITERATIONS):
            basis_kc = torch.linalg.qr(matrix_kk @ basis_kc).Q
        small_cc = (basis_kc.T @ (matrix_kk @ basis_kc)).double()
    values, solver = eigenvalues((small_cc + small_cc.T) / 2, double=True)
    solver = f"randomised SVD {_where(matrix_kk)}, {POWER_ITERATIONS} power iterations, then {solver}"
    return _truncated(covariance, values, solver, rank=rank, variant=variant, name=name)


@torch.no_grad()
def lanczos(covariance: Covariance, *, rank: int, variant: str, name: str, seed: int = 0) -> Spectrum:
    """The Ritz values of `rank` Lanczos steps from one random vector, fully reorthogonalised.

    They reach over the whole spectrum, and only the leading ones have converged: as a stand-in for the spectrum
    (variant '') they are what the paper's columns look like, and with a 'tail' the converged ones alone are kept.
    A space that is invariant before `rank` steps ends there; repeated eigenvalues are then found once.

    Args:
        covariance, rank, name: as for `randomised_svd`.
        variant: '' or 'tail'.
        seed: of the starting vector.
    """
    if rank >= covariance.size or not covariance.trace:
        return _truncated(covariance, *_all_of(covariance), rank=rank, variant=variant, name=name)
    matrix_kk = covariance.working()
    ritz = KrylovSpace(matrix_kk, rademacher(covariance.size, 1, seed), steps=rank).ritz()
    values = ritz.values_m.numpy()
    if variant == "tail":
        failing = np.flatnonzero(ritz.residuals_m.numpy() > CONVERGED * np.maximum(values, 0))
        values = values[: failing[0]] if len(failing) else values
    return _truncated(covariance, values, f"Lanczos, {_where(matrix_kk)}", rank=rank, variant=variant, name=name)


def _all_of(covariance: Covariance) -> tuple[np.ndarray, str]:
    exact = exact_spectrum(covariance)
    return exact.eigenvalues[: covariance.size] / (covariance.trace or 1.0), exact.solver


def _truncated(
    covariance: Covariance, values: np.ndarray, solver: str, *, rank: int, variant: str, name: str
) -> Spectrum:
    """What the variant makes of the leading values; a plain truncation tells the share of variance it lacks."""
    kept = np.clip(values[: min(rank, covariance.rank_bound)], 0, None)
    error = max(0.0, 1 - kept.sum()) if not variant and covariance.trace else None
    if variant == "squared":
        kept = kept**2
    if variant == "tail":
        left = covariance.rank_bound - len(kept)
        tail = exponential_tail(left, 1 - kept.sum(), covariance.square - (kept**2).sum())
        kept = np.sort(np.concatenate([kept, tail]))[::-1]
    return spectrum_of(covariance, kept, solver=solver, estimator=name, error=error)


def _where(matrix_kk: Tensor) -> str:
    return f"{str(matrix_kk.dtype).removeprefix('torch.')} {matrix_kk.device.type}"
