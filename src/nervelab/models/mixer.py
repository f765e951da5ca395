"""MLP-Mixer (Tolstikhin et al. 2021), as timm builds and initialises it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import nn

from nervelab.models.ffn import FeedForward
from nervelab.models.norms import EPS, NORMS

if TYPE_CHECKING:
    from nervelab.study.config import MixerModel

CHANNELS = 3
# The standard deviation of N(0, 1) truncated at two of its own.
TRUNCATED_STD = 0.87962566103423978


class PatchEmbedding(nn.Module):
    """A linear map of the pixels of each patch.

    It is a convolution whose stride is its kernel; held as a matrix, it is to an optimiser what it is to the network.
    """

    def __init__(self, patch: int, d_model: int) -> None:
        super().__init__()
        self.patch = patch
        self.map = nn.Linear(CHANNELS * patch**2, d_model)

    def forward(self, images_BCHW: torch.Tensor) -> torch.Tensor:
        """Shapes: (batch, channels, height, width) -> (batch, patches, d_model), patches row by row from the top."""
        rows_of_patches = images_BCHW.unflatten(2, (-1, self.patch)).unflatten(4, (-1, self.patch))
        patches_BPx = rows_of_patches.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)
        return self.map(patches_BPx)


class Block(nn.Module):
    """An FFN over the patches of each channel, then one over the channels of each patch, both pre-norm residuals."""

    def __init__(self, settings: MixerModel) -> None:
        super().__init__()
        d_model, patches = settings.d_model, (settings.image // settings.patch) ** 2
        norm, width = NORMS[settings.norm], settings.width_multiple * d_model
        self.token_norm = norm(d_model, eps=EPS)
        self.tokens = FeedForward(patches, settings.token_width, settings.token_activation, bias=True)
        self.channel_norm = norm(d_model, eps=EPS)
        self.channels = FeedForward(d_model, width, settings.activation, bias=True)

    def forward(self, x_BPd: torch.Tensor) -> torch.Tensor:
        """Shapes: (batch, patches, d_model) in and out."""
        x_BPd = x_BPd + self.tokens(self.token_norm(x_BPd).transpose(1, 2)).transpose(1, 2)
        return x_BPd + self.channels(self.channel_norm(x_BPd))


class Mixer(nn.Module):
    """Patch embedding, blocks, final norm, mean over the patches, head.

    The initial weights are those of timm: of the FFNs uniform (Glorot & Bengio 2010) with biases from N(0, 1e-12), of
    the patch embedding truncated normal with variance 1 / inputs and no bias, of the head all zero.
    """

    def __init__(self, settings: MixerModel, classes: int) -> None:
        super().__init__()
        self.patches = PatchEmbedding(settings.patch, settings.d_model)
        self.blocks = nn.Sequential(*(Block(settings) for _ in range(settings.layers)))
        self.final_norm = NORMS[settings.norm](settings.d_model, eps=EPS)
        self.head = nn.Linear(settings.d_model, classes)
        self._initialise()

    def forward(self, images_BCHW: torch.Tensor) -> torch.Tensor:
        """Logits of the classes. Shapes: (batch, channels, height, width) -> (batch, classes)."""
        x_BPd = self.final_norm(self.blocks(self.patches(images_BCHW)))
        return self.head(x_BPd.mean(dim=1))

    def channel_ffns(self) -> dict[str, FeedForward]:
        """The FFN of every block that mixes channels, by its dotted name."""
        return {f"blocks.{number}.channels": block.channels for number, block in enumerate(self.blocks)}

    def _initialise(self) -> None:
        std = 1 / math.sqrt(self.patches.map.in_features) / TRUNCATED_STD
        nn.init.trunc_normal_(self.patches.map.weight, std=std, a=-2 * std, b=2 * std)
        for linear in (module for module in self.blocks.modules() if isinstance(module, nn.Linear)):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.normal_(linear.bias, std=1e-6)
        nn.init.zeros_(self.head.weight)
        for linear in (self.patches.map, self.head):
            nn.init.zeros_(linear.bias)


def build(settings: MixerModel, classes: int) -> Mixer:
    """The model that the settings describe; its initial weights come from torch's global generator."""
    return Mixer(settings, classes)
