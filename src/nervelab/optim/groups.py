"""Parameters grouped by role: what an optimiser may do to a tensor depends on what the tensor is for."""

from __future__ import annotations

from collections.abc import Collection

from torch import nn

ROLES = ("matrix", "vector", "embedding", "head")


def parameters_by_role(model: nn.Module) -> dict[str, list[nn.Parameter]]:
    """The trainable parameters under each of `ROLES`; a tensor shared by embedding and head is an embedding.

    Embeddings and the head are known by the module that owns them. A matrix has two dimensions, both longer than one;
    everything else is a vector: biases, gains of norms, the lengths (D, 1) of weight norm, stacks of matrices.
    """
    roles: dict[str, list[nn.Parameter]] = {role: [] for role in ROLES}
    seen: set[nn.Parameter] = set()
    for name, module in model.named_modules():
        for parameter in module.parameters(recurse=False):
            if parameter in seen or not parameter.requires_grad:
                continue
            seen.add(parameter)
            if isinstance(module, nn.Embedding):
                role = "embedding"
            elif name == "head":
                role = "head"
            else:
                role = "matrix" if parameter.ndim == 2 and min(parameter.shape) > 1 else "vector"
            roles[role].append(parameter)
    return roles


def decay_groups(model: nn.Module, decay: Collection[str], weight_decay: float) -> list[dict]:
    """Two parameter groups for a torch optimiser: the roles in `decay` with weight decay, the others without."""
    roles = parameters_by_role(model)
    groups = []
    for chosen, strength in ((True, weight_decay), (False, 0.0)):
        parameters = [each for role, members in roles.items() if (role in decay) is chosen for each in members]
        if parameters:
            groups.append({"params": parameters, "weight_decay": strength})
    return groups
