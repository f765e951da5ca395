"""Several optimisers over different parameters of a model, driven as one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from nervelab.optim.groups import decay_groups, parameters_by_role

if TYPE_CHECKING:
    from nervelab.study.config import AdamW


class Joint(torch.optim.Optimizer):
    """The optimisers `parts` as one: their parameter groups in their order, their steps in turn.

    The groups are the parts' own dictionaries, not copies, so a learning rate that is set here is set there. What a
    part remembers stays in the part.

    Raises:
        ValueError: two parts share a parameter.
    """

    def __init__(self, *parts: torch.optim.Optimizer) -> None:
        super().__init__([group for part in parts for group in part.param_groups], {})
        self.parts = parts

    def step(self) -> None:
        """One step of each part."""
        for part in self.parts:
            part.step()

    def state_dict(self) -> dict[str, Any]:
        """The state dicts of the parts, in their order."""
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go back to a state that `state_dict` gave."""
        for part, state in zip(self.parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)
        # Loading gives a part new dictionaries for its groups.
        self.param_groups = [group for part in self.parts for group in part.param_groups]


def over_matrices(
    model: nn.Module, own: Callable[[list[nn.Parameter]], torch.optim.Optimizer], *, rest: AdamW
) -> Joint:
    """The optimiser that `own` makes for the hidden matrices, and AdamW over embeddings, head and vectors."""
    matrices = parameters_by_role(model)["matrix"]
    taken = set(matrices)
    groups = [
        group | {"params": [each for each in group["params"] if each not in taken]}
        for group in decay_groups(model, rest.decay, rest.weight_decay)
    ]
    adamw = torch.optim.AdamW(groups, lr=rest.lr, betas=tuple(rest.betas), eps=rest.eps, fused=True)
    return Joint(own(matrices), adamw)
