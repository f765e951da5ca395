"""The eigenvalues of one covariance; numpy only, so that an analysis needs no torch."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Spectrum:
    """The eigenvalues of the covariance of one activation site, or an estimator's stand-in for them.

    Attributes:
        eigenvalues: float64, read-only, length D with its zeros, descending, at least 0; squared activation units.
        n_tokens: the rows behind the covariance.
        solver: what found the eigenvalues, and why if it was not the first choice.
        estimator: how much of the data and of the spectrum they represent; 'full' is all of both. The values of
            any other estimator are estimates, and those of 'bkq' quantiles: none of them is an eigenvalue.
        error: the relative error that the estimator expects of SE, PR and EEE, as far as it can tell: a
            comparison with a coarser estimate or the bound of rounding, not a proof. None: it knows none.
    """

    eigenvalues: np.ndarray
    n_tokens: int
    solver: str
    estimator: str = "full"
    error: float | None = None

    def __post_init__(self) -> None:
        values = np.array(self.eigenvalues, dtype=np.float64)
        descending = values.ndim == 1 and bool((values[:-1] >= values[1:]).all())
        if not descending or not np.isfinite(values).all() or (values < 0).any():
            raise ValueError("eigenvalues must be one finite, non-negative, descending row")
        values.setflags(write=False)
        object.__setattr__(self, "eigenvalues", values)

    @property
    def width(self) -> int:
        """D, the number of hidden units."""
        return len(self.eigenvalues)
