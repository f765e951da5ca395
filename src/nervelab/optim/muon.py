"""Muon (Jordan et al. 2024), torch's own."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import nn

from nervelab.optim.eager import eager
from nervelab.optim.joint import over_matrices

if TYPE_CHECKING:
    from nervelab.study.config import Muon


def build(settings: Muon, model: nn.Module) -> torch.optim.Optimizer:
    """Muon over the hidden matrices, and AdamW, as in `settings.rest`, over everything else."""
    muon = partial(
        eager(torch.optim.Muon),
        lr=settings.lr,
        momentum=settings.momentum,
        nesterov=settings.nesterov,
        ns_steps=settings.ns_steps,
        weight_decay=settings.weight_decay,
        adjust_lr_fn=settings.adjust_lr_fn,
    )
    return over_matrices(model, muon, rest=settings.rest)
