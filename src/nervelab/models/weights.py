"""The geometry of an FFN's weights, by name. A new geometry is entered here."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import spectral_norm, weight_norm


class UnitRows(nn.Module):
    """Each row divided by its norm: the weight vector of an output unit is a point of the unit sphere.

    A row of zeros has no direction and stays zero.
    """

    def forward(self, weight_Dd: torch.Tensor) -> torch.Tensor:
        """Shapes: (outputs, inputs) in and out."""
        return functional.normalize(weight_Dd, dim=1)

    def right_inverse(self, weight_Dd: torch.Tensor) -> torch.Tensor:
        """A weight that gives `weight_Dd` where its rows have norm one."""
        return weight_Dd


def _hyperspherical(linear: nn.Linear) -> None:
    parametrize.register_parametrization(linear, "weight", UnitRows())


GEOMETRIES: dict[str, Callable[[nn.Linear], object]] = {
    # One length per output unit (Salimans & Kingma 2016), or per input, as in NerVE's released code.
    "weight-norm": partial(weight_norm, dim=0),
    "weight-norm-per-input": partial(weight_norm, dim=1),
    # Divided by an estimate of the largest singular value (Miyato et al. 2018): a power iteration over training, whose
    # vectors are buffers, one step of it in each forward in training mode and none in eval mode.
    "spectral-norm": partial(spectral_norm, n_power_iterations=1),
    # Every output unit's weight vector on the unit sphere (Liu et al. 2017, deep hyperspherical learning).
    "hyperspherical": _hyperspherical,
}


def hold(ffn: nn.Module, geometry: str) -> None:
    """Hold the weights of all linear maps of an FFN in a geometry, from those they have now; "free" holds none."""
    if geometry != "free":
        for linear in [each for each in ffn.children() if isinstance(each, nn.Linear)]:
            GEOMETRIES[geometry](linear)
