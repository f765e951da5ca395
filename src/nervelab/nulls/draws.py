"""Other inputs for a linear map, after which its outputs have the mean and the covariance that they had, and little else.

A pre-activation is linear in the input of its FFN: h = W x + b, with the maps of a gated FFN in one W. So it is the input
that is drawn, and the FFN itself computes the rest.
"""

from __future__ import annotations

import numpy as np


def gaussian(inputs_Nd: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """As many rows of a Gaussian with the mean and the covariance of `inputs_Nd`, float64.

    What follows linearly from them is a Gaussian too, with the mean and the covariance of what followed from the inputs.
    """
    mean_d, covariance_dd = _moments(inputs_Nd)
    values_d, vectors_dd = np.linalg.eigh(covariance_dd)
    root_dd = vectors_dd * np.sqrt(np.clip(values_d, 0, None))
    return mean_d + random.standard_normal(inputs_Nd.shape) @ root_dd.T


def shuffled(inputs_Nd: np.ndarray, factor_kd: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Inputs after which the principal components of h are those of `inputs_Nd`, each shuffled over rows on its own.

    The mean and the distribution of each component are exactly what they were; the covariance is in expectation, as
    shuffled components are uncorrelated but for 1/sqrt(N). Directions of the input that W does not see stay at their
    mean.

    Args:
        inputs_Nd: x, at least 2 rows.
        factor_kd: R with R^T R = W^T W (see `nervelab.spectra.covariance.compressed`): R x has the geometry of W x.
        random: what the permutations are drawn from.

    Returns:
        Inputs [N, d], float64.
    """
    mean_d, covariance_dd = _moments(inputs_Nd)
    _, vectors_kk = np.linalg.eigh(factor_kd @ covariance_dd @ factor_kd.T)
    scores_Nk = (inputs_Nd - mean_d) @ (factor_kd.T @ vectors_kk)
    random.permuted(scores_Nk, axis=0, out=scores_Nk)
    return mean_d + scores_Nk @ (np.linalg.pinv(factor_kd) @ vectors_kk).T


def _moments(rows_Nd: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    mean_d = rows_Nd.mean(axis=0)
    centred_Nd = rows_Nd - mean_d
    return mean_d, centred_Nd.T @ centred_Nd / (len(rows_Nd) - 1)
