"""The kinds of normalisation by name, and where it stands in a block."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import nn

EPS = 1e-6
"""Of RMSNorm as in LLaMA, of either norm as in timm's Mixer; GPT-2's LayerNorm has torch's own, 1e-5."""

# Each takes the width, and `eps` where it is another than the usual one.
NORMS: dict[str, Callable[..., nn.Module]] = {
    "layernorm": nn.LayerNorm,
    "rmsnorm": partial(nn.RMSNorm, eps=EPS),
    "weightless-rmsnorm": partial(nn.RMSNorm, eps=EPS, elementwise_affine=False),
}


def layer_placements(placement: str, layers: int, mixln_post_share: float) -> list[str]:
    """The placement of each layer: MixLN is PostLN in a first share of them, PreLN in the rest (Li et al. 2025)."""
    if placement != "mixln":
        return [placement] * layers
    post = round(layers * mixln_post_share)
    return ["postln"] * post + ["preln"] * (layers - post)


def branch_placements(placement: str) -> tuple[str, str]:
    """The placement of a layer's attention branch and of its FFN branch.

    In the block of NerVE's released code the residual of attention is taken after the norm, that of the FFN is
    PreLN's.
    """
    return ("normed-residual", "preln") if placement == "released" else (placement, placement)


class Residual(nn.Module):
    """A residual branch around `inner` with its normalisation, of any kind.

    PreLN: x + f(norm(x)). PostLN: norm(x + f(x)). None: x + f(x). Normed residual: norm(x) + f(norm(x)).
    """

    def __init__(self, inner: nn.Module, placement: str, norm: nn.Module) -> None:
        super().__init__()
        self.placement = placement
        self.norm = nn.Identity() if placement == "none" else norm
        self.inner = inner

    def forward(self, x_BTd: torch.Tensor) -> torch.Tensor:
        """Shapes: (batch, tokens, d_model) in and out."""
        if self.placement == "preln":
            return x_BTd + self.inner(self.norm(x_BTd))
        if self.placement == "normed-residual":
            normed_BTd = self.norm(x_BTd)
            return normed_BTd + self.inner(normed_BTd)
        return self.norm(x_BTd + self.inner(x_BTd))
