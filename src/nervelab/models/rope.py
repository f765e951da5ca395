"""Rotary position embedding."""

from __future__ import annotations

import torch
from torch import nn


class Rope(nn.Module):
    """Turns queries and keys by their position, so that scores depend on its differences alone (Su et al. 2021).

    At position t the pair (x_i, x_{i + e/2}) of a head of even width e is turned by the angle t base^(-2i/e). Pairs are
    taken half a head apart, as in transformers' LLaMA; the paper pairs neighbours, which is a permutation of weights.
    """

    def __init__(self, context: int, width: int, base: float) -> None:
        super().__init__()
        frequencies_h = 1 / base ** (torch.arange(0, width, 2, dtype=torch.float32) / width)
        angles_Th = torch.outer(torch.arange(context, dtype=torch.float32), frequencies_h)
        # The settings determine the table: no checkpoint needs it.
        self.register_buffer("cos_Th", angles_Th.cos(), persistent=False)
        self.register_buffer("sin_Th", angles_Th.sin(), persistent=False)

    def forward(self, x_BHTe: torch.Tensor) -> torch.Tensor:
        """Shapes: (batch, heads, tokens, width) in and out, in the precision of the table."""
        tokens = x_BHTe.shape[-2]
        cos_Th, sin_Th = self.cos_Th[:tokens], self.sin_Th[:tokens]
        first, second = x_BHTe.chunk(2, dim=-1)
        return torch.cat((first * cos_Th - second * sin_Th, second * cos_Th + first * sin_Th), dim=-1)
