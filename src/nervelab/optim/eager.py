"""Torch's optimisers without what they keep ready for torch.compile, which takes longer to import than torch itself."""

from __future__ import annotations

from functools import cache
from inspect import unwrap
from typing import TypeVar

import torch

# Each imports torch._dynamo when it is first called, to tell it to stay away.
WRAPPED = ("add_param_group", "zero_grad", "state_dict", "load_state_dict")

Kind = TypeVar("Kind", bound=torch.optim.Optimizer)


@cache
def eager(kind: type[Kind]) -> type[Kind]:
    """The same optimiser, to the bit, for a model that nobody compiles; its step is taken without gradients."""
    methods = {name: unwrap(getattr(kind, name)) for name in WRAPPED}
    step = torch.no_grad()(unwrap(kind.step))
    return type(kind.__name__, (kind,), {**methods, "step": step, "__module__": __name__, "__doc__": kind.__doc__})
