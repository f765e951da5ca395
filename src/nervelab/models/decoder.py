"""The decoder-only transformer. Every architecture is a setting of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from nervelab.models.attention import CausalSelfAttention
from nervelab.models.ffn import feed_forward
from nervelab.models.norms import Residual, branch_placements, layer_placements

if TYPE_CHECKING:
    from nervelab.study.config import Model


class Block(nn.Sequential):
    """Attention and FFN, each in its residual branch."""

    def __init__(self, settings: Model, placement: str) -> None:
        d_model = settings.d_model
        attention = CausalSelfAttention(d_model, settings.heads, settings.biases)
        ffn = feed_forward(
            d_model, settings.width_multiple * d_model, settings.activation, bias="ffn" in settings.biases
        )
        of_attention, of_ffn = branch_placements(placement)
        super().__init__(Residual(attention, of_attention, d_model), Residual(ffn, of_ffn, d_model))


class Decoder(nn.Module):
    """Token and learned position embeddings, blocks, final norm, head.

    Weights are drawn from N(0, init_std^2) without depth scaling, biases are zero.
    """

    def __init__(self, settings: Model, vocabulary: int) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, settings.d_model)
        self.positions = nn.Embedding(settings.context, settings.d_model)
        self.dropout = nn.Dropout(settings.embedding_dropout)
        placements = layer_placements(settings.placement, settings.layers, settings.mixln_post_share)
        self.blocks = nn.Sequential(*(Block(settings, placement) for placement in placements))
        self.final_norm = nn.LayerNorm(settings.d_model) if settings.final_norm else nn.Identity()
        self.head = nn.Linear(settings.d_model, vocabulary, bias=False)
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=settings.init_std)
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)
        if settings.tied_embeddings:
            self.head.weight = self.tokens.weight

    def forward(self, ids_BT: torch.Tensor) -> torch.Tensor:
        """Logits of the next token. Shapes: (batch, tokens) -> (batch, tokens, vocabulary)."""
        positions_T = torch.arange(ids_BT.shape[1], device=ids_BT.device)
        x_BTd = self.dropout(self.tokens(ids_BT) + self.positions(positions_T))
        return self.head(self.final_norm(self.blocks(x_BTd)))


def build(settings: Model, vocabulary: int) -> Decoder:
    """The model that the settings describe; its initial weights come from torch's global generator."""
    return Decoder(settings, vocabulary)
