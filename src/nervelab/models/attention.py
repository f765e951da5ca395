"""Causal self-attention."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import nn
from torch.nn import functional


class CausalSelfAttention(nn.Module):
    """Multi-head attention in which a token sees itself and what came before.

    `biases` names the maps that have a bias: "query-key", "value", "attention-output".
    """

    def __init__(self, d_model: int, heads: int, biases: Collection[str]) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(d_model, d_model, bias="query-key" in biases)
        self.key = nn.Linear(d_model, d_model, bias="query-key" in biases)
        self.value = nn.Linear(d_model, d_model, bias="value" in biases)
        self.output = nn.Linear(d_model, d_model, bias="attention-output" in biases)

    def forward(self, x_BTd: torch.Tensor) -> torch.Tensor:
        """Shapes: (batch, tokens, d_model) in and out."""
        query, key, value = (self._split(part(x_BTd)) for part in (self.query, self.key, self.value))
        mixed_BHTe = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        return self.output(mixed_BHTe.transpose(1, 2).flatten(2))

    def _split(self, x_BTd: torch.Tensor) -> torch.Tensor:
        return x_BTd.unflatten(-1, (self.heads, -1)).transpose(1, 2)
