"""Other inputs for a linear map, whose outputs have the mean and the covariance that they had, and little else.

A pre-activation is linear in the input of its FFN: h = W x + b, with the maps of a gated FFN in one W. So it is the
input that is drawn, and the FFN itself computes the rest.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np


class Nulls:
    """Nulls of the inputs of a linear map.

    Args:
        inputs_Nd: x, at least 2 rows.
        factor_kd: R with R^T R = W^T W (see `nervelab.spectra.covariance.compressed`): R x has the geometry of W x.
    """

    def __init__(self, inputs_Nd: np.ndarray, factor_kd: np.ndarray) -> None:
        inputs_Nd = np.asarray(inputs_Nd, dtype=np.float64)
        self.mean_d = inputs_Nd.mean(axis=0)
        self.factor_kd = factor_kd
        self._centred_Nd = inputs_Nd - self.mean_d
        self._covariance_dd = self._centred_Nd.T @ self._centred_Nd / (len(inputs_Nd) - 1)

    def gaussian(self, random: np.random.Generator) -> np.ndarray:
        """As many rows [N, d], float64, of a Gaussian with the mean and the covariance of the inputs.

        What follows linearly from them is a Gaussian too, with the moments of what followed from the inputs.
        """
        return self.mean_d + random.standard_normal(self._centred_Nd.shape) @ self._root_dd.T

    def shuffled(self, random: np.random.Generator) -> np.ndarray:
        """Inputs [N, d], float64, after which the principal components of h are as before, but each shuffled over rows.

        The mean and the distribution of each component are exactly what they were; the covariance is in expectation, as
        shuffled components are uncorrelated but for 1/sqrt(N). Directions of the input that W does not see stay at
        their mean.
        """
        scores_kN, back_kd = self._components
        return self.mean_d + random.permuted(scores_kN, axis=1).T @ back_kd

    @cached_property
    def _root_dd(self) -> np.ndarray:
        values_d, vectors_dd = np.linalg.eigh(self._covariance_dd)
        return vectors_dd * np.sqrt(np.clip(values_d, 0, None))

    @cached_property
    def _components(self) -> tuple[np.ndarray, np.ndarray]:
        """The scores on the principal components of h, and the map from scores to inputs."""
        _, vectors_kk = np.linalg.eigh(self.factor_kd @ self._covariance_dd @ self.factor_kd.T)
        scores_kN = np.ascontiguousarray((self._centred_Nd @ (self.factor_kd.T @ vectors_kk)).T)
        return scores_kN, (np.linalg.pinv(self.factor_kd) @ vectors_kk).T
