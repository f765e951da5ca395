"""Adafactor (Shazeer & Stern 2018), torch's own, which is not Hugging Face's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from nervelab.optim.eager import eager
from nervelab.optim.groups import parameter_groups

if TYPE_CHECKING:
    from nervelab.study.config import Adafactor


def build(settings: Adafactor, model: nn.Module) -> torch.optim.Optimizer:
    """The optimiser over a model's parameters, with weight decay on the roles that the settings name."""
    groups = parameter_groups(model, settings.decay, settings.weight_decay)
    return eager(torch.optim.Adafactor)(
        groups, lr=settings.lr, beta2_decay=settings.beta2_decay, eps=tuple(settings.eps), d=settings.clip
    )
