"""Several optimisers over different parameters of a model, driven as one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from nervelab.optim import adamw
from nervelab.optim.eager import eager
from nervelab.optim.groups import parameters_by_role

if TYPE_CHECKING:
    from nervelab.study.config import AdamW


@eager
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
    """The optimiser that `own` makes for the hidden matrices, and AdamW over everything else."""
    return Joint(own(parameters_by_role(model)["matrix"]), adamw.build(rest, model, without=("matrix",)))
