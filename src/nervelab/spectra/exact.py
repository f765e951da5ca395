"""The estimator `full`: every eigenvalue, of all tokens."""

import numpy as np

from nervelab.spectra.covariance import Covariance
from nervelab.spectra.solver import eigenvalues
from nervelab.spectra.spectrum import Spectrum

# What the tests hold SE, PR and EEE to, against float64 numpy.
ROUNDING = 1e-5


def exact_spectrum(covariance: Covariance) -> Spectrum:
    """All eigenvalues, padded with zeros to D.

    All-zero activations, or constant ones, give zeros, of which every metric is NaN. An eigensolver that fails
    is replaced by another: see `solver.eigenvalues`.
    """
    found, solver = eigenvalues(covariance.unit_kk, double=covariance.double)
    rank = covariance.rank_bound  # the rest is rounding
    return spectrum_of(covariance, found[:rank], solver=solver, estimator="full", error=ROUNDING)


def spectrum_of(
    covariance: Covariance, unit_values: np.ndarray, *, solver: str, estimator: str, error: float | None = None
) -> Spectrum:
    """The spectrum with these values (of a covariance of unit trace, descending) and zeros up to D."""
    values = np.zeros(covariance.width)
    values[: len(unit_values)] = unit_values * covariance.trace
    return Spectrum(values, n_tokens=covariance.n_tokens, solver=solver, estimator=estimator, error=error)
