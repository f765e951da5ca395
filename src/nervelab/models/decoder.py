"""The decoder-only transformer. Every architecture is a setting of it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import nn

from nervelab.models.attention import CausalSelfAttention
from nervelab.models.ffn import feed_forward
from nervelab.models.norms import NORMS, Residual, branch_placements, layer_placements
from nervelab.models.weights import hold

if TYPE_CHECKING:
    from nervelab.study.config import DecoderModel


class Block(nn.Sequential):
    """Attention and FFN, each in its residual branch. Shapes: (batch, tokens, d_model) in and out."""

    def __init__(self, settings: DecoderModel, placement: str) -> None:
        d_model, norm = settings.d_model, NORMS[settings.norm]
        width = settings.width_multiple * d_model if settings.ffn_width is None else settings.ffn_width
        attention = CausalSelfAttention(settings)
        ffn = feed_forward(d_model, width, settings.activation, bias="ffn" in settings.biases)
        of_attention, of_ffn = branch_placements(placement)
        super().__init__(Residual(attention, of_attention, norm(d_model)), Residual(ffn, of_ffn, norm(d_model)))


class Decoder(nn.Module):
    """Token embedding, with positions added where they are learned, blocks, final norm, head.

    Embeddings are drawn from N(0, embedding_std^2), the maps (an untied head too) from N(0, init_std^2), or, where
    init_std is "fan", with the deviation 1 / sqrt(inputs) times min(1, sqrt(outputs / inputs)); `depth_scaled` divides
    that of each branch's last map by sqrt(2 layers). Biases are zero. From there the weights of the FFNs are held in
    their geometry, so that weight norm starts at the same function.
    """

    def __init__(self, settings: DecoderModel, vocabulary: int) -> None:
        super().__init__()
        d_model = settings.d_model
        self.tokens = nn.Embedding(vocabulary, d_model)
        self.positions = nn.Embedding(settings.context, d_model) if settings.positions == "learned" else None
        self.dropout = nn.Dropout(settings.embedding_dropout)
        placements = layer_placements(settings.placement, settings.layers, settings.mixln_post_share)
        self.blocks = nn.Sequential(*(Block(settings, placement) for placement in placements))
        self.final_norm = NORMS[settings.final_norm](d_model) if settings.final_norm else nn.Identity()
        self.head = nn.Linear(d_model, vocabulary, bias=False)
        self._initialise(settings)
        for _, ffn in self.blocks:
            hold(ffn.inner, settings.ffn_weights)
        if settings.tied_embeddings:
            self.head.weight = self.tokens.weight

    def forward(self, ids_BT: torch.Tensor) -> torch.Tensor:
        """Logits of the next token. Shapes: (batch, tokens) -> (batch, tokens, vocabulary)."""
        x_BTd = self.tokens(ids_BT)
        if self.positions is not None:
            x_BTd = x_BTd + self.positions(torch.arange(ids_BT.shape[1], device=ids_BT.device))
        return self.head(self.final_norm(self.blocks(self.dropout(x_BTd))))

    def _initialise(self, settings: DecoderModel) -> None:
        last = [map_ for attention, ffn in self.blocks for map_ in (attention.inner.output, ffn.inner.down)]
        depth = math.sqrt(2 * settings.layers) if settings.depth_scaled else 1.0
        for module in self.modules():
            if isinstance(module, nn.Embedding):
                nn.init.normal_(module.weight, std=settings.embedding_std)
            elif isinstance(module, nn.Linear):
                std = _fan_std(module) if settings.init_std == "fan" else settings.init_std
                nn.init.normal_(module.weight, std=std / depth if module in last else std)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)


def _fan_std(linear: nn.Linear) -> float:
    """Keeps the size of what a map is given, and lets no direction grow by more than that (Ahn et al. 2025)."""
    inputs, outputs = linear.in_features, linear.out_features
    return min(1.0, math.sqrt(outputs / inputs)) / math.sqrt(inputs)


def build(settings: DecoderModel, vocabulary: int) -> Decoder:
    """The model that the settings describe; its initial weights come from torch's global generator."""
    return Decoder(settings, vocabulary)
