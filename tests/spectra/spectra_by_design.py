"""Covariances whose eigenvalues are given, and the spectra that estimators find hard."""

from functools import cache

import numpy as np
import torch

from nervelab.spectra.covariance import Covariance

WIDTH = 1000
RANKS = np.arange(1, WIDTH + 1)
_MP = np.linalg.svd(np.random.default_rng(0).standard_normal((2 * WIDTH, WIDTH)), compute_uv=False) ** 2
ADVERSARIAL = {
    "flat": np.ones(WIDTH),
    "marchenko-pastur": _MP,
    "power-law": 1.0 / RANKS,
    "steep-power-law": 1.0 / RANKS**2,
    "exponential": np.exp(-RANKS / 200),
    "steep-exponential": np.exp(-RANKS / 20),
    "spiked": np.concatenate([_MP[0] * np.array([50.0, 40, 30, 20, 10]), _MP[5:]]),
    "spiked-flat": np.where(RANKS <= 5, 100.0, 1.0),
    "stepped": np.where(RANKS <= 40, 1.0, np.where(RANKS <= 250, 0.1, 0.01)),
    "rank-deficient": np.concatenate([_MP[: WIDTH // 4], np.zeros(WIDTH - WIDTH // 4)]),
    "rank-one": np.where(RANKS == 1, 1.0, 0.0),
}
DEGENERATE = {
    "fours": np.repeat(1.0 / np.arange(1, WIDTH // 4 + 1), 4),
    "twenties": np.repeat(1.0 / np.arange(1, WIDTH // 20 + 1), 20),
    "hundreds": np.repeat(0.5 ** np.arange(WIDTH // 100), 100),
}


def covariance(values: np.ndarray, *, n_tokens: int = 10**6, width: int | None = None, seed: int = 1) -> Covariance:
    """The covariance of trace 7 with these eigenvalues up to scale, in a random basis."""
    basis_kk = _basis(len(values), seed)
    matrix_kk = (basis_kk * torch.from_numpy(values / values.sum())) @ basis_kk.T
    return Covariance((matrix_kk + matrix_kk.T) / 2, trace=7.0, width=width or len(values), n_tokens=n_tokens)


@cache
def _basis(width: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.linalg.qr(torch.randn(width, width, generator=generator, dtype=torch.float64)).Q
