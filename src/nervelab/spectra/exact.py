"""Spectra from moments without approximation; an estimator is another function of the same arguments."""

import numpy as np
import torch
from torch import Tensor

from nervelab.spectra.moments import Moments
from nervelab.spectra.solver import eigenvalues
from nervelab.spectra.spectrum import Spectrum


def direct_spectrum(moments: Moments) -> Spectrum:
    """The spectrum of what the moments were taken of (the post-activation).

    Raises:
        NonFiniteError: the activations are not finite.
        NervelabError: fewer than two tokens.
    """
    return _spectrum(moments.covariance(), width=moments.width, n_tokens=moments.n)


@torch.no_grad()
def projected_spectrum(moments: Moments, weight_Dd: Tensor) -> Spectrum:
    """The spectrum of the pre-activation W x + b, from the moments of x.

    Its covariance is W C_x W^T, of rank at most d. With W = Q R, Q having orthonormal columns, the nonzero eigenvalues
    are those of R C_x R^T: a problem of size min(D, d) in place of D, whose D - d zeros are exact. It holds for W of
    any rank and shape.

    Args:
        moments: of the input of the projection, width d.
        weight_Dd: W, as it was when the input was seen.

    Raises:
        NonFiniteError: the activations or the weights are not finite.
        NervelabError: fewer than two tokens.
    """
    width, inputs = weight_Dd.shape
    if inputs != moments.width:
        raise ValueError(f"a weight for {inputs} inputs cannot follow moments of width {moments.width}")
    r_kd = torch.linalg.qr(weight_Dd.double(), mode="r").R
    return _spectrum(r_kd @ moments.covariance() @ r_kd.T, width=width, n_tokens=moments.n)


def _spectrum(covariance_kk: Tensor, *, width: int, n_tokens: int) -> Spectrum:
    found, solver = eigenvalues(covariance_kk)
    rank = min(len(found), n_tokens - 1)  # centring n tokens leaves n - 1 directions; the rest is rounding
    values = np.zeros(width)
    values[:rank] = found[:rank]
    return Spectrum(values, n_tokens=n_tokens, solver=solver)
