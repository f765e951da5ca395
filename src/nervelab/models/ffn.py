"""The feed-forward networks, plain and gated, and their activations by name. A new activation is entered here."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional


class SquaredReLU(nn.Module):
    """max(x, 0)^2 (So et al. 2021)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Any shape, in and out."""
        return functional.relu(x).square()


class LearnableLeakyReLU(nn.PReLU):
    """Leaky ReLU with one learnable slope a layer, initially 0.01 (NerVE, section 3.2)."""

    def __init__(self) -> None:
        super().__init__(num_parameters=1, init=0.01)


PLAIN: dict[str, Callable[[], nn.Module]] = {
    "gelu": nn.GELU,
    "relu": nn.ReLU,
    "squared-relu": SquaredReLU,
    "learnable-leaky-relu": LearnableLeakyReLU,
}
GATES: dict[str, Callable[[], nn.Module]] = {"geglu": nn.GELU, "swiglu": nn.SiLU}


class FeedForward(nn.Module):
    """W_down phi(W_up x), d_model -> width -> d_model."""

    def __init__(self, d_model: int, width: int, activation: str, *, bias: bool) -> None:
        super().__init__()
        self.up = nn.Linear(d_model, width, bias=bias)
        self.activation = PLAIN[activation]()
        self.down = nn.Linear(width, d_model, bias=bias)

    def forward(self, x_BTd: torch.Tensor) -> torch.Tensor:
        """Shapes: (batch, tokens, d_model) in and out."""
        return self.down(self.activation(self.up(x_BTd)))


class GatedFeedForward(nn.Module):
    """W_down (phi(W_gate x) * (W_up x)), d_model -> width -> d_model (Shazeer 2020)."""

    def __init__(self, d_model: int, width: int, activation: str, *, bias: bool) -> None:
        super().__init__()
        self.gate = nn.Linear(d_model, width, bias=bias)
        self.up = nn.Linear(d_model, width, bias=bias)
        self.activation = GATES[activation]()
        self.down = nn.Linear(width, d_model, bias=bias)

    def forward(self, x_BTd: torch.Tensor) -> torch.Tensor:
        """Shapes: (batch, tokens, d_model) in and out."""
        return self.down(self.activation(self.gate(x_BTd)) * self.up(x_BTd))


def feed_forward(d_model: int, width: int, activation: str, *, bias: bool) -> nn.Module:
    """The FFN that an activation names, gated or plain."""
    kind = GatedFeedForward if activation in GATES else FeedForward
    return kind(d_model, width, activation, bias=bias)
