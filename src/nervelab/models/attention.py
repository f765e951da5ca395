"""Causal self-attention."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from nervelab.models.norms import NORMS
from nervelab.models.rope import Rope

if TYPE_CHECKING:
    from nervelab.study.config import DecoderModel


class CausalSelfAttention(nn.Module):
    """Multi-head attention in which a token sees itself and what came before.

    `biases` names the maps that have a bias: "query-key", "value", "attention-output". With `qk_norm` queries and keys
    of each head are divided by their root mean square, with positions "rope" they are turned afterwards.
    """

    def __init__(self, settings: DecoderModel) -> None:
        super().__init__()
        d_model, biases = settings.d_model, settings.biases
        self.heads = settings.heads
        self.query = nn.Linear(d_model, d_model, bias="query-key" in biases)
        self.key = nn.Linear(d_model, d_model, bias="query-key" in biases)
        self.value = nn.Linear(d_model, d_model, bias="value" in biases)
        self.output = nn.Linear(d_model, d_model, bias="attention-output" in biases)
        width = d_model // settings.heads
        self.norm = NORMS["weightless-rmsnorm"](width) if settings.qk_norm else nn.Identity()
        rope = settings.positions == "rope"
        self.rotation = Rope(settings.context, width, settings.rope_base) if rope else nn.Identity()

    def forward(self, x_BTd: torch.Tensor) -> torch.Tensor:
        """Shapes: (batch, tokens, d_model) in and out."""
        query, key, value = (self._split(part(x_BTd)) for part in (self.query, self.key, self.value))
        query, key = (self.rotation(self.norm(each)) for each in (query, key))
        mixed_BHTe = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        return self.output(mixed_BHTe.transpose(1, 2).flatten(2))

    def _split(self, x_BTd: torch.Tensor) -> torch.Tensor:
        return x_BTd.unflatten(-1, (self.heads, -1)).transpose(1, 2)
