"""Muon (Jordan et al. 2024), torch's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from nervelab.optim.groups import parameters_by_role
from nervelab.optim.joint import Joint, adamw_for_the_rest

if TYPE_CHECKING:
    from nervelab.study.config import Muon


def build(settings: Muon, model: nn.Module) -> torch.optim.Optimizer:
    """Muon over the hidden matrices, and AdamW, as in `settings.rest`, over embeddings, head and vectors."""
    muon = torch.optim.Muon(
        parameters_by_role(model)["matrix"],
        lr=settings.lr,
        momentum=settings.momentum,
        nesterov=settings.nesterov,
        ns_steps=settings.ns_steps,
        weight_decay=settings.weight_decay,
        adjust_lr_fn=settings.adjust_lr_fn,
    )
    return Joint(muon, adamw_for_the_rest(settings.rest, model))
