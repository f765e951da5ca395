"""Stochastic gradient descent with momentum, torch's own: its weight decay is added to the gradient."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from nervelab.optim.eager import eager
from nervelab.optim.groups import parameter_groups

if TYPE_CHECKING:
    from nervelab.study.config import SGD


def build(settings: SGD, model: nn.Module) -> torch.optim.Optimizer:
    """The optimiser over a model's parameters, with weight decay on the roles that the settings name."""
    groups = parameter_groups(model, settings.decay, settings.weight_decay)
    return eager(torch.optim.SGD)(groups, lr=settings.lr, momentum=settings.momentum, fused=True)
