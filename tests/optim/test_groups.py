"""Parameters are grouped by what they are for."""

from __future__ import annotations

import pytest
import torch

from nervelab.models.decoder import build as build_decoder
from nervelab.optim.groups import decay_groups, parameters_by_role
from small_model import SMALL, VOCABULARY


def test_each_parameter_has_one_role_and_the_right_one():
    model = build_decoder(SMALL.model_copy(update={"tied_embeddings": False}), VOCABULARY)
    names = {id(each): name for name, each in model.named_parameters()}
    roles = {role: {names[id(each)] for each in members} for role, members in parameters_by_role(model).items()}
    assert roles["embedding"] == {"tokens.weight", "positions.weight"}
    assert roles["head"] == {"head.weight"}
    assert roles["vector"] == {name for name in names.values() if "norm" in name or name.endswith("bias")}
    assert sum(map(len, roles.values())) == len(names)


def test_a_tied_head_is_an_embedding():
    roles = parameters_by_role(build_decoder(SMALL, VOCABULARY))
    assert roles["head"] == []
    assert len(roles["embedding"]) == 2


def test_the_lengths_of_weight_norm_are_vectors_and_its_directions_matrices():
    model = build_decoder(SMALL.model_copy(update={"ffn_weights": "weight-norm", "biases": ()}), VOCABULARY)
    names = {id(each): name for name, each in model.named_parameters()}
    roles = {role: {names[id(each)] for each in members} for role, members in parameters_by_role(model).items()}
    assert {name for name in roles["vector"] if "norm" not in name} == {n for n in names.values() if "original0" in n}
    held = {name for name in roles["matrix"] if "parametrizations" in name}
    assert held == {name for name in names.values() if "original1" in name}
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
    model = build_decoder(SMALL, VOCABULARY)
    decayed, spared = decay_groups(model, ["matrix"], 0.1)
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.1, 0.0)
    assert all(each.ndim == 2 for each in decayed["params"])
    assert any(each is model.tokens.weight for each in spared["params"])
