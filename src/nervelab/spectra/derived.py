"""Numbers of spectra and samples beside the metrics of NerVE: float64 numpy, and nothing that a trainer imports."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def first_share(eigenvalues: ArrayLike) -> float:
    """The largest eigenvalue's share of their sum, from 1/D to 1; NaN if all are zero."""
    values_D = np.asarray(eigenvalues, dtype=np.float64)
    total = values_D.sum()
    return float(values_D.max() / total) if total > 0 else float("nan")


def mean_fourth_power(distances_N: np.ndarray) -> float:
    """sum_i |x_i - mean|^4 / (N - 1), from the distances |x_i - mean| of N samples, at least 2."""
    distances_N = np.asarray(distances_N, dtype=np.float64)
    return float((distances_N**4).sum() / (len(distances_N) - 1))


def unbiased_participation_ratio(eigenvalues: ArrayLike, *, n_tokens: int, fourth: float) -> float:
    """(tr C)^2 / tr(C^2) of the population, its two parts estimated without bias from n independent samples.

    With the covariance S of the samples, tr(S)^2 and tr(S^2) estimate them with a bias, as one sample stands in several
    factors of a term: PR from few samples is too small. Averages over four different samples have none,

        (tr C)^2 = E |x1 - x2|^2 |x3 - x4|^2 / 4,    tr(C^2) = E ((x1 - x2) . (x3 - x4))^2 / 4,

    and averaged over all choices of four they follow from tr S, tr S^2 and q = sum_i |x_i - mean|^4 / (n - 1) alone. By
    symmetry each is a combination of tr(S^2), tr(S)^2 and q; for any distribution of the x, with k = tr of its fourth
    cumulant,

        E tr(S)^2 = (tr C)^2 + 2 tr(C^2) / (n - 1) + k / n,
        E tr(S^2) = tr(C^2) n / (n - 1) + (tr C)^2 / (n - 1) + k / n,
        E q       = k (n^2 - 3 n + 3) / n^2 + (2 tr(C^2) + (tr C)^2) (n - 1) / n,

    and solving for (tr C)^2 and tr(C^2) gives what is returned. A ratio of unbiased parts is not itself without bias,
    but for much less than that of S. Tokens of one sequence are not independent, which none of this mends.

    Args:
        eigenvalues: of S, the covariance with n - 1 in its denominator; squared units.
        n_tokens: n, the samples behind it.
        fourth: q of the same samples, see `mean_fourth_power`.

    Returns:
        The ratio; NaN for a zero spectrum, and where the estimate of tr(C^2) is not positive, as it may be of few
        samples.

    Raises:
        ValueError: fewer than 4 samples.
    """
    if n_tokens < 4:
        raise ValueError(f"{n_tokens} samples hold no four different ones")
    values_D, n = np.asarray(eigenvalues, dtype=np.float64), n_tokens
    squared_trace, square = values_D.sum() ** 2, (values_D**2).sum()
    # Both have the factor (n - 1) / (n (n - 2) (n - 3)), which the ratio does not need.
    above = 2 * square + (n * n - 3 * n + 1) * squared_trace - n * fourth
    below = (n - 1) * (n - 2) * square + squared_trace - n * fourth
    return float(above / below) if below > 0 else float("nan")
