"""What every estimator is given: a covariance, as the smallest matrix that has its spectrum."""

from dataclasses import dataclass

import torch
from torch import Tensor

from nervelab.spectra.moments import DOUBLE_WIDTH, Moments, NonFiniteError
from nervelab.spectra.products import SymmetricSum


@dataclass(frozen=True, eq=False)
class Covariance:
    """A covariance of width D, up to zero eigenvalues.

    Attributes:
        unit_kk: symmetric, float64, of trace 1 (or zero): the covariance of D units over its trace, or a smaller
            matrix with the same nonzero eigenvalues; what it lacks to D are zeros.
        trace: the trace of the covariance, in squared activation units.
        width: D.
        n_tokens: the rows behind it.
        double: whether to solve in float64 whatever the size.
    """

    unit_kk: Tensor
    trace: float
    width: int
    n_tokens: int
    double: bool = False

    @property
    def size(self) -> int:
        """k, at most D."""
        return len(self.unit_kk)

    @property
    def rank_bound(self) -> int:
        """What the rank cannot exceed: centring n tokens leaves n - 1 directions."""
        return min(self.size, self.n_tokens - 1)

    @property
    def square(self) -> float:
        """tr(C^2) / tr(C)^2, the reciprocal of the participation ratio: no eigenvalue is needed for it."""
        return torch.linalg.vector_norm(self.unit_kk).item() ** 2

    def working(self) -> Tensor:
        """`unit_kk` in the precision that it is solved in: float64 up to 512, float32 above."""
        return self.unit_kk if self.double or self.size <= DOUBLE_WIDTH else self.unit_kk.float()


def direct(moments: Moments, *, as_gram: bool = True) -> Covariance:
    """The covariance of what the moments were taken of (the post-activation): [D, D], or [n, n] if n < D.

    Args:
        moments: of width D.
        as_gram: whether the Gram matrix may stand for it.

    Raises:
        NonFiniteError: the activations are not finite.
        NervelabError: fewer than two tokens.
    """
    matrix_kk = moments.gram() if as_gram and moments.fewer_rows_than_units else moments.covariance()
    return _covariance(matrix_kk, moments, width=moments.width)


@torch.no_grad()
def compressed(weight_Dd: Tensor) -> Tensor:
    """R [min(D, d), d], float64, with R^T R = W^T W: W = Q R with orthonormal columns of Q.

    By Cholesky, in half the time of a QR decomposition, which takes over where W^T W is singular.
    """
    width, inputs = weight_Dd.shape
    weight_Dd = weight_Dd.double()
    if width >= inputs:
        square = SymmetricSum(inputs, weight_Dd.device)
        square.add_gram(weight_Dd)
        lower_dd, failed = torch.linalg.cholesky_ex(square.dense())
        if not failed:
            return lower_dd.T
    return torch.linalg.qr(weight_Dd, mode="r").R


@torch.no_grad()
def projected(moments: Moments, factor_kd: Tensor, *, width: int) -> Covariance:
    """The covariance of the pre-activation W x + b [D], from the moments of x [d]: a matrix of size min(D, d).

    It is W C_x W^T, of rank at most d. With W = Q R, Q having orthonormal columns, its nonzero eigenvalues
    are those of R C_x R^T; the D - d zeros are exact. It holds for W of any rank and shape.

    Args:
        moments: of the input of the projection, width d.
        factor_kd: R, from `compressed`, of W as it was when the input was seen.
        width: D.

    Raises:
        NonFiniteError: the activations or the weights are not finite.
        NervelabError: fewer than two tokens.
    """
    if moments.n and factor_kd.shape[1] != moments.width:
        raise ValueError(f"a weight for {factor_kd.shape[1]} inputs cannot follow moments of width {moments.width}")
    matrix_kk = factor_kd @ moments.covariance() @ factor_kd.T
    if not torch.isfinite(matrix_kk).all():
        raise NonFiniteError(f"a weight to {width} units, or a covariance through it, is not finite")
    return _covariance((matrix_kk + matrix_kk.T) / 2, moments, width=width)


def _covariance(matrix_kk: Tensor, moments: Moments, width: int) -> Covariance:
    trace = max(matrix_kk.trace().item(), 0.0)
    unit_kk = matrix_kk.div_(trace) if trace else matrix_kk.zero_()
    return Covariance(unit_kk, trace=trace, width=width, n_tokens=moments.n, double=moments.double)
