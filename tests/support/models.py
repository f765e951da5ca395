"""A small decoder, what it reads, and weights of it at which mistakes show."""

from __future__ import annotations

from typing import Any

import torch

from nervelab.models.decoder import Decoder, build
from tests.support.configs import SMALL, VOCABULARY


def small(**changes: Any) -> Decoder:
    torch.manual_seed(0)
    return build(SMALL.model_copy(update=changes), VOCABULARY).eval()


def ids(sequences: int = 3) -> torch.Tensor:
    return torch.randint(VOCABULARY, (sequences, SMALL.context), generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def perturbed(model: Decoder) -> Decoder:
    """Biases and norms start at 0 and 1, where many mistakes are invisible."""
    for parameter in model.parameters():
        parameter.add_(0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(2)))
    return model
