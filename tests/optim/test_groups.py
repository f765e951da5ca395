"""Parameters are grouped by what they are for."""

from __future__ import annotations

import torch

from nervelab.models.decoder import build as build_decoder
from nervelab.optim.adamw import build
from nervelab.optim.groups import decay_groups, parameters_by_role
from nervelab.study.config import AdamW
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


def test_only_the_named_roles_decay():
    model = build_decoder(SMALL, VOCABULARY)
    decayed, spared = decay_groups(model, ["matrix"], 0.1)
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.1, 0.0)
    assert all(each.ndim == 2 for each in decayed["params"])
    assert any(each is model.tokens.weight for each in spared["params"])


def test_a_step_of_adamw_equals_the_published_update():
    """One step by hand in float64: decoupled decay, bias-corrected moments."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 2))
    before = [each.detach().double().clone() for each in model.parameters()]
    settings = AdamW(name="adamw", lr=0.1, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.5, decay=("matrix",))
    optimiser = build(settings, model)
    model(torch.ones(1, 3)).square().sum().backward()
    gradients = [each.grad.double().clone() for each in model.parameters()]
    optimiser.step()
    for old, gradient, now in zip(before, gradients, model.parameters(), strict=True):
        decay = 0.5 if old.ndim == 2 else 0.0
        expected = old * (1 - 0.1 * decay) - 0.1 * gradient / (gradient.abs() + 1e-8)
        torch.testing.assert_close(now.detach().double(), expected, rtol=1e-6, atol=1e-7)
