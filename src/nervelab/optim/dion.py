"""Dion (Ahn et al. 2025, arXiv 2504.05295), written from the paper, for matrices that lie whole on one device."""

from __future__ import annotations

import math
from collections.abc import Iterable
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import nn

from nervelab.optim.eager import eager
from nervelab.optim.joint import over_matrices

if TYPE_CHECKING:
    from nervelab.study.config import Dion as Settings


@eager
class Dion(torch.optim.Optimizer):
    """Momentum, orthonormalised at low rank by one step of a power iteration that goes on over training (Algorithm 1).

    A matrix X of shape (m, n) has momentum M (m, n), initially zero, and a right factor Q (n, r), initially Gaussian,
    where r = `rank(m, n, rank_fraction)`. With its gradient G, a step is

        B = M + G
        P = the Q factor of the QR decomposition of B Q    (m, r), orthonormal columns
        R = B^T P                                          (n, r), so that P R^T is B within the span of P
        M = B - (1 - mu) P R^T                             error feedback: what P missed does not decay
        Q = R with each column divided by its norm (+ eps)
        X = (1 - lr weight_decay) X - lr sqrt(m / n) P Q^T

    in the precision of the parameter. sqrt(m / n) is sqrt(fan_out / fan_in) of a linear map, so that one rate serves
    all shapes. The authors' code transposes a wide matrix first, which makes the factor of its longer side the
    orthonormal one; the algorithm does not, and neither does this.

    The initial right factors come from torch's global generator, which a run's seed has seeded before its model was
    initialised; they are drawn on the CPU, so that they do not depend on the device.

    Raises:
        ValueError: a parameter is not a matrix.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        *,
        lr: float,
        mu: float,
        rank_fraction: float,
        weight_decay: float,
        eps: float,
    ) -> None:
        super().__init__(parameters, {"lr": lr, "mu": mu, "weight_decay": weight_decay, "eps": eps})
        for parameter in (each for group in self.param_groups for each in group["params"]):
            if parameter.ndim != 2:
                raise ValueError(f"Dion trains matrices only, but was given a tensor of shape {tuple(parameter.shape)}")
            m, n = parameter.shape
            right_nr = torch.randn(n, rank(m, n, rank_fraction), device="cpu")
            self.state[parameter] = {"momentum": torch.zeros_like(parameter), "right": right_nr.to(parameter)}

    @torch.no_grad()
    def step(self) -> None:
        """One update of every parameter that has a gradient."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                m, n = parameter.shape
                momentum_mn, right_nr = self.state[parameter]["momentum"], self.state[parameter]["right"]
                momentum_mn.add_(parameter.grad)
                left_mr = torch.linalg.qr(momentum_mn @ right_nr).Q
                caught_nr = momentum_mn.T @ left_mr
                momentum_mn.addmm_(left_mr, caught_nr.T, alpha=group["mu"] - 1)
                # A column of zeros stays zero, but only for this step: at the next, QR puts a unit vector in its place.
                torch.div(caught_nr, caught_nr.norm(dim=0).add_(group["eps"]), out=right_nr)
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.addmm_(left_mr, right_nr.T, alpha=-group["lr"] * math.sqrt(m / n))


def rank(m: int, n: int, fraction: float) -> int:
    """The rank of the update of an (m, n) matrix: `fraction` of its smaller side, rounded up, as in the authors' code.

    The fraction is taken as it is written: 0.07 of 100 is 7, though in floats their product is above it.
    """
    return math.ceil(Fraction(str(fraction)) * min(m, n))


def build(settings: Settings, model: nn.Module) -> torch.optim.Optimizer:
    """Dion over the hidden matrices, and AdamW, as in `settings.rest`, over everything else."""
    dion = partial(
        Dion,
        lr=settings.lr,
        mu=settings.mu,
        rank_fraction=settings.rank_fraction,
        weight_decay=settings.weight_decay,
        eps=settings.eps,
    )
    return over_matrices(model, dion, rest=settings.rest)
