"""Parameters grouped by role: what an optimiser may do to a tensor depends on what the tensor is for.

matrix      has two dimensions, both longer than one: the linear maps, the directions of weight norm
bias        of a linear map
layernorm   gain and bias of a LayerNorm
rmsnorm     gain of an RMSNorm
slope       of a learnable leaky ReLU
vector      whatever else is no matrix: the lengths (D, 1) of weight norm, stacks of matrices
embedding   of tokens and of positions, and the head where it is tied to that of the tokens
head        the map to the outputs, with its bias
"""

from __future__ import annotations

from collections.abc import Collection

from torch import nn

ROLES = ("matrix", "bias", "layernorm", "rmsnorm", "slope", "vector", "embedding", "head")

# All parameters of such a module, or of one that derives from it, have this role.
_OF_MODULES: dict[type[nn.Module], str] = {
    nn.Embedding: "embedding",
    nn.LayerNorm: "layernorm",
    nn.RMSNorm: "rmsnorm",
    nn.PReLU: "slope",
}


def parameters_by_role(model: nn.Module) -> dict[str, list[nn.Parameter]]:
    """The trainable parameters under each of `ROLES`; the head is the module of that name."""
    roles: dict[str, list[nn.Parameter]] = {role: [] for role in ROLES}
    seen: set[nn.Parameter] = set()
    for name, module in model.named_modules():
        for own_name, parameter in module.named_parameters(recurse=False):
            if parameter in seen or not parameter.requires_grad:
                continue
            seen.add(parameter)
            roles["head" if name == "head" else _role(module, own_name, parameter)].append(parameter)
    return roles


def _role(module: nn.Module, name: str, parameter: nn.Parameter) -> str:
    for kind, role in _OF_MODULES.items():
        if isinstance(module, kind):
            return role
    if name == "bias":
        return "bias"
    return "matrix" if parameter.ndim == 2 and min(parameter.shape) > 1 else "vector"


def parameter_groups(
    model: nn.Module,
    decay: Collection[str],
    weight_decay: float,
    *,
    head_lr: float | None = None,
    without: Collection[str] = (),
) -> list[dict]:
    """The parameter groups for a torch optimiser, of those that have parameters.

    The roles in `decay` are a group with weight decay, the others one without; a head with a rate of its own is a group
    apart, behind them, so that the rate of the first group is that of the optimiser.

    Args:
        model: whose parameters are grouped.
        decay: the roles that decay.
        weight_decay: by how much.
        head_lr: the learning rate of the head; None for that of the optimiser.
        without: roles that are left out.
    """
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for role, members in parameters_by_role(model).items():
        if members and role not in without:
            apart = role == "head" and head_lr is not None
            groups.setdefault((apart, role not in decay), []).extend(members)
    return [
        {"params": members, "weight_decay": 0.0 if spared else weight_decay} | ({"lr": head_lr} if apart else {})
        for (apart, spared), members in sorted(groups.items(), key=lambda group: group[0])
    ]
