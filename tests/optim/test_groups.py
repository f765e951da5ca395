"""Parameters are grouped by what they are for."""

from __future__ import annotations

from typing import Any, get_args

import pytest
import torch
from torch import nn

from nervelab.models.decoder import build as build_decoder
from nervelab.models.mixer import build as build_mixer
from nervelab.optim.groups import ROLES, parameter_groups, parameters_by_role
from nervelab.study.config import MixerModel
from nervelab.study.config.optimisers import Role
from tests.support.configs import SMALL, VOCABULARY

MIXER = MixerModel(
    family="mixer",
    d_model=24,
    layers=2,
    image=8,
    patch=4,
    token_width=8,
    width_multiple=2,
    token_activation="gelu",
    activation="gelu",
    norm="layernorm",
)


def decoder(**changes: Any) -> nn.Module:
    return build_decoder(SMALL.model_copy(update=changes), VOCABULARY)


def named(model: nn.Module) -> dict[str, set[str]]:
    """The names of the parameters under each role."""
    names = {id(each): name for name, each in model.named_parameters()}
    return {role: {names[id(each)] for each in members} for role, members in parameters_by_role(model).items()}


def decayed(model: nn.Module, *roles: str) -> set[str]:
    """The names of the parameters that decay where these roles do."""
    names = {id(each): name for name, each in model.named_parameters()}
    groups = [group for group in parameter_groups(model, roles, 0.1) if group["weight_decay"]]
    return {names[id(each)] for group in groups for each in group["params"]}


def test_the_roles_that_a_record_may_name_are_those_there_are():
    assert get_args(Role) == ROLES


def test_each_parameter_has_one_role_and_the_right_one():
    model = decoder(tied_embeddings=False, activation="learnable-leaky-relu", norm="rmsnorm")
    names = [name for name, _ in model.named_parameters()]
    roles = named(model)
    assert roles["embedding"] == {"tokens.weight", "positions.weight"}
    assert roles["head"] == {"head.weight"}
    assert roles["layernorm"] == {"final_norm.weight", "final_norm.bias"}
    assert roles["rmsnorm"] == {name for name in names if name.endswith(".norm.weight")}
    assert roles["slope"] == {f"blocks.{layer}.1.inner.activation.weight" for layer in range(SMALL.layers)}
    assert roles["bias"] == {name for name in names if name.endswith("bias")} - roles["layernorm"]
    assert roles["vector"] == set()
    assert len(roles["rmsnorm"]) == 2 * SMALL.layers
    assert len(roles["bias"]) == len(roles["matrix"]) == 6 * SMALL.layers
    assert sum(map(len, roles.values())) == len(names)


@pytest.mark.parametrize("norm", ["layernorm", "rmsnorm"])
def test_the_biases_of_a_layernorm_and_of_the_head_are_theirs(norm: str):
    model = build_mixer(MIXER.model_copy(update={"norm": norm}), 10)
    roles = named(model)
    norms = {name for name, _ in model.named_parameters() if "norm" in name}
    assert {role for role in ("layernorm", "rmsnorm") if roles[role]} == {norm}
    assert roles[norm] == norms
    assert roles["head"] == {"head.weight", "head.bias"}
    assert len(norms) == (2 * MIXER.layers + 1) * (2 if norm == "layernorm" else 1)


def test_all_roles_are_all_parameters():
    roles = ("matrix", "bias", "layernorm", "rmsnorm", "slope", "vector", "head")
    for norm in ("layernorm", "rmsnorm"):
        model = build_mixer(MIXER.model_copy(update={"norm": norm}), 10)
        assert decayed(model, *roles) == {name for name, _ in model.named_parameters()}


@pytest.mark.parametrize("ffn_weights", ["free", "weight-norm", "weight-norm-per-input"])
@pytest.mark.parametrize("norm", ["layernorm", "rmsnorm"])
def test_what_the_code_released_with_nerve_decays_can_be_said(norm: str, ffn_weights: str):
    """All but the parameters of a LayerNorm and those with bias in their name."""
    model = decoder(norm=norm, ffn_weights=ffn_weights, activation="learnable-leaky-relu")
    modules = dict(model.named_modules())
    expected = {
        name
        for name, _ in model.named_parameters()
        if "bias" not in name and not isinstance(modules[name.rpartition(".")[0]], nn.LayerNorm)
    }
    assert decayed(model, "matrix", "embedding", "vector", "rmsnorm", "slope") == expected
    assert ("blocks.0.0.norm.weight" in expected) is (norm == "rmsnorm")


def test_what_the_code_of_ngpt_decays_can_be_said():
    """Every parameter of two dimensions or more."""
    model = decoder(norm="rmsnorm", tied_embeddings=False, positions="rope")
    expected = {name for name, each in model.named_parameters() if each.dim() >= 2}
    assert decayed(model, "matrix", "embedding", "head") == expected


def test_a_tied_head_is_an_embedding():
    roles = parameters_by_role(decoder())
    assert roles["head"] == []
    assert len(roles["embedding"]) == 2


def test_the_lengths_of_weight_norm_are_vectors_and_its_directions_matrices():
    model = decoder(ffn_weights="weight-norm", biases=())
    roles = named(model)
    assert roles["vector"] == {name for name, _ in model.named_parameters() if "original0" in name}
    held = {name for name in roles["matrix"] if "parametrizations" in name}
    assert held == {name for name, _ in model.named_parameters() if "original1" in name}
    assert len(held) == 2 * SMALL.layers


@pytest.mark.parametrize(
    ("shape", "role"),
    [
        ((2, 3), "matrix"),
        ((3, 1), "vector"),
        ((1, 3), "vector"),
        ((1, 1), "vector"),
        ((3,), "vector"),
        ((), "vector"),
        ((2, 3, 1), "vector"),
        ((2, 2, 3, 3), "vector"),
    ],
)
def test_a_matrix_has_two_dimensions_both_longer_than_one(shape: tuple[int, ...], role: str):
    module = torch.nn.Module()
    module.weight = torch.nn.Parameter(torch.ones(shape))
    assert [name for name, members in parameters_by_role(module).items() if members] == [role]


def test_only_the_named_roles_decay():
    model = decoder()
    decayed, spared = parameter_groups(model, ["matrix"], 0.1)
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.1, 0.0)
    assert all(each.ndim == 2 for each in decayed["params"])
    assert any(each is model.tokens.weight for each in spared["params"])


@pytest.mark.parametrize(
    ("decay", "expected"),
    [
        ((), [(0.0, None), (0.0, 0.5)]),
        (("matrix",), [(0.1, None), (0.0, None), (0.0, 0.5)]),
        (("matrix", "head"), [(0.1, None), (0.0, None), (0.1, 0.5)]),
        (("head",), [(0.0, None), (0.1, 0.5)]),
        (ROLES, [(0.1, None), (0.1, 0.5)]),
    ],
)
def test_decay_and_the_rate_of_the_head_multiply_out_without_empty_groups(decay: tuple, expected: list):
    """The head's group is the last, so that the rate of the first is that of the optimiser."""
    model = decoder(tied_embeddings=False)
    groups = parameter_groups(model, decay, 0.1, head_lr=0.5)
    assert [(group["weight_decay"], group.get("lr")) for group in groups] == expected
    assert [id(each) for each in groups[-1]["params"]] == [id(model.head.weight)]
    members = [id(each) for group in groups for each in group["params"]]
    assert sorted(members) == sorted(map(id, model.parameters()))


def test_without_a_head_there_is_no_group_of_its_rate():
    model = decoder()
    (group,) = parameter_groups(model, (), 0.1, head_lr=0.5, without=("matrix",))
    assert "lr" not in group
    matrices = {id(each) for each in parameters_by_role(model)["matrix"]}
    assert {id(each) for each in group["params"]} == set(map(id, model.parameters())) - matrices
