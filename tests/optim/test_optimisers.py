"""Each optimiser is built over the right parameters, and two of them are driven as one."""

from __future__ import annotations

import copy
import importlib
from collections.abc import Callable

import pytest
import torch
from torch import nn

from nervelab.models.decoder import build as build_decoder
from nervelab.optim.dion import Dion
from nervelab.optim.joint import Joint
from nervelab.study.components import OPTIMISERS
from tests.support.configs import SMALL, VOCABULARY
from tests.support.optimisers import RECORDS


def build(name: str, model: nn.Module) -> torch.optim.Optimizer:
    return importlib.import_module(OPTIMISERS[name]).build(RECORDS[name], model)


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    return build_decoder(SMALL.model_copy(update={"tied_embeddings": False}), VOCABULARY)


def by_name(model: nn.Module) -> dict[str, list[nn.Parameter]]:
    """Roles told by the names of the decoder's tensors alone."""
    roles: dict[str, list[nn.Parameter]] = {"matrix": [], "vector": [], "embedding": [], "head": []}
    for name, parameter in model.named_parameters():
        if name in ("tokens.weight", "positions.weight"):
            roles["embedding"].append(parameter)
        elif name == "head.weight":
            roles["head"].append(parameter)
        else:
            roles["vector" if "norm" in name or name.endswith("bias") else "matrix"].append(parameter)
    return roles


def train(model: nn.Module, optimisers: list[torch.optim.Optimizer], steps: int = 3) -> None:
    for step in range(steps):
        ids = torch.randint(VOCABULARY, (4, 16), generator=torch.Generator().manual_seed(step))
        model.zero_grad()
        nn.functional.cross_entropy(model(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten()).backward()
        for optimiser in optimisers:
            optimiser.step()


def torch_adam(roles: dict) -> list[torch.optim.Optimizer]:
    groups = [
        {"params": roles["matrix"], "weight_decay": 0.1},
        {"params": roles["vector"] + roles["embedding"] + roles["head"], "weight_decay": 0.0},
    ]
    return [torch.optim.Adam(groups, lr=0.01, betas=(0.8, 0.95), eps=1e-6, fused=True)]


def torch_sgd(roles: dict) -> list[torch.optim.Optimizer]:
    spared = roles["vector"] + roles["embedding"] + roles["head"]
    return [
        torch.optim.SGD(roles["matrix"], lr=0.1, momentum=0.9, weight_decay=0.01, fused=True),
        torch.optim.SGD(spared, lr=0.1, momentum=0.9, fused=True),
    ]


def torch_adafactor(roles: dict) -> list[torch.optim.Optimizer]:
    spared = roles["vector"] + roles["embedding"] + roles["head"]
    settings = {"lr": 0.05, "beta2_decay": -0.7, "eps": (1e-4, 2e-3), "d": 1.1}
    return [
        torch.optim.Adafactor(roles["matrix"], weight_decay=0.1, **settings),
        torch.optim.Adafactor(spared, **settings),
    ]


def torch_muon(roles: dict) -> list[torch.optim.Optimizer]:
    settings = {"momentum": 0.95, "nesterov": False, "ns_steps": 4, "adjust_lr_fn": "spectral_unclamped"}
    return [torch.optim.Muon(roles["matrix"], lr=0.02, weight_decay=0.1, **settings), *torch_rest(roles)]


def dion(roles: dict) -> list[torch.optim.Optimizer]:
    settings = {"lr": 0.02, "mu": 0.95, "rank_fraction": 0.5, "eps": 1e-7, "weight_decay": 0.1}
    return [Dion(roles["matrix"], **settings), *torch_rest(roles)]


def torch_rest(roles: dict) -> list[torch.optim.Optimizer]:
    groups = [
        {"params": roles["embedding"], "weight_decay": 0.2},
        {"params": roles["vector"] + roles["head"], "weight_decay": 0.0},
    ]
    return [torch.optim.AdamW(groups, lr=0.003, betas=(0.9, 0.99), eps=1e-7, fused=True)]


@pytest.mark.parametrize(
    ("name", "oracle"),
    [("adam", torch_adam), ("sgd", torch_sgd), ("adafactor", torch_adafactor), ("muon", torch_muon), ("dion", dion)],
)
def test_training_is_that_of_the_class_over_groups_told_by_name(model: nn.Module, name: str, oracle: Callable):
    other = copy.deepcopy(model)
    before = copy.deepcopy(model)
    torch.manual_seed(1)  # of which Dion draws its factors
    train(model, [build(name, model)])
    torch.manual_seed(1)
    train(other, oracle(by_name(other)))
    for (tensor, found), wanted, old in zip(
        model.named_parameters(), other.parameters(), before.parameters(), strict=True
    ):
        assert not torch.equal(found, old), tensor
        assert torch.equal(found, wanted), tensor


@pytest.mark.parametrize(("name", "kind"), [("muon", "Muon"), ("dion", "Dion")])
@pytest.mark.parametrize("tied", [True, False])
def test_hidden_matrices_alone_are_orthonormalised_and_adamw_has_the_rest(name: str, kind: str, tied: bool):
    model = build_decoder(SMALL.model_copy(update={"tied_embeddings": tied}), VOCABULARY)
    roles = by_name(model)
    matrices, rest = build(name, model).parts
    assert type(matrices).__name__ == kind
    assert isinstance(rest, torch.optim.AdamW)
    held = [{id(each) for group in part.param_groups for each in group["params"]} for part in (matrices, rest)]
    assert held[0] == {id(each) for each in roles["matrix"]}
    assert held[1] == {id(each) for role in ("vector", "embedding", "head") for each in roles[role]}
    decayed = [{id(each) for group in rest.param_groups if group["weight_decay"] for each in group["params"]}]
    assert decayed == [{id(each) for each in roles["embedding"]}]


@pytest.mark.parametrize("name", ["adamw", "muon", "dion"])
def test_the_head_may_have_its_own_rate(model: nn.Module, name: str):
    """Its first step of AdamW, at zero weight decay, is as much longer as its rate is higher, that of no other is."""
    record = RECORDS[name]
    own = (
        record.model_copy(update={"head_lr": 0.5})
        if name == "adamw"
        else record.model_copy(update={"rest": record.rest.model_copy(update={"head_lr": 0.5})})
    )
    lr = record.lr if name == "adamw" else record.rest.lr
    before, other = copy.deepcopy(model), copy.deepcopy(model)
    for settings, trained in ((record, model), (own, other)):
        torch.manual_seed(1)
        train(trained, [importlib.import_module(OPTIMISERS[name]).build(settings, trained)], steps=1)
    for (tensor, old), usual, changed in zip(
        before.named_parameters(), model.parameters(), other.parameters(), strict=True
    ):
        if tensor == "head.weight":
            torch.testing.assert_close(changed - old, (usual - old) * (0.5 / lr), rtol=1e-3, atol=1e-6)
            assert not torch.equal(usual, old)
        else:
            assert torch.equal(usual, changed), tensor


@pytest.mark.parametrize("geometry", ["weight-norm", "weight-norm-per-input", "spectral-norm", "hyperspherical"])
@pytest.mark.parametrize("name", ["muon", "dion"])
def test_weights_held_in_a_geometry_are_trained_too(name: str, geometry: str):
    torch.manual_seed(0)
    model = build_decoder(SMALL.model_copy(update={"ffn_weights": geometry}), VOCABULARY).train()
    optimiser = build(name, model)
    directions = [each for tensor, each in model.named_parameters() if tensor.endswith(("original", "original1"))]
    assert len(directions) == 2 * SMALL.layers
    trained = {id(each) for group in optimiser.parts[0].param_groups for each in group["params"]}
    assert {id(each) for each in directions} <= trained
    ids = torch.randint(VOCABULARY, (4, 16), generator=torch.Generator().manual_seed(0))
    before, losses = copy.deepcopy(model), []
    for _ in range(20):
        optimiser.zero_grad()
        loss = nn.functional.cross_entropy(model(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten())
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]
    assert not any(map(torch.equal, before.parameters(), model.parameters()))


def test_the_step_of_torchs_adafactor_is_capped_by_the_root_of_its_number():
    """Above 1 / sqrt(t) the rate makes no difference: what sets it apart from Hugging Face's."""
    ends = []
    for lr in (1.0, 100.0):
        torch.manual_seed(0)
        linear = nn.Linear(4, 3)
        record = RECORDS["adafactor"].model_copy(update={"lr": lr, "weight_decay": 0.0})
        optimiser = importlib.import_module(OPTIMISERS["adafactor"]).build(record, linear)
        for _ in range(3):
            optimiser.zero_grad()
            linear(torch.ones(1, 4)).square().sum().backward()
            optimiser.step()
        ends.append(linear.weight.detach().clone())
    assert torch.equal(*ends)


def test_a_rate_set_on_the_joint_groups_is_that_of_the_parts_also_after_loading(model: nn.Module):
    joint = build("dion", model)
    saved = copy.deepcopy(joint.state_dict())
    for _ in range(2):
        assert [group["lr"] for group in joint.param_groups] == [0.02, 0.003, 0.003]
        for group in joint.param_groups:
            group["lr"] = 0.0
        before = copy.deepcopy(model.state_dict())
        train(model, [joint], steps=1)
        assert all(map(torch.equal, before.values(), model.state_dict().values()))
        joint.load_state_dict(saved)


def test_zero_grad_reaches_every_parameter(model: nn.Module):
    joint = build("muon", model)
    train(model, [joint], steps=1)
    assert all(each.grad is not None for each in model.parameters())
    joint.zero_grad(set_to_none=True)
    assert all(each.grad is None for each in model.parameters())


def test_two_parts_may_not_share_a_parameter():
    weight = nn.Parameter(torch.ones(2))
    with pytest.raises(ValueError, match="more than one parameter group"):
        Joint(torch.optim.SGD([weight], lr=0.1), torch.optim.SGD([weight], lr=0.1))


@pytest.mark.parametrize("name", RECORDS)
def test_under_a_gradient_scaler_the_step_is_the_same_and_an_overflow_skips_it(model: nn.Module, name: str):
    """The factors are powers of two, so that scaling and unscaling are exact."""
    plain = copy.deepcopy(model)
    torch.manual_seed(1)
    train(plain, [build(name, plain)], steps=1)
    torch.manual_seed(1)
    optimiser, scaler = build(name, model), torch.amp.GradScaler("cpu", init_scale=2.0**10)
    ids = torch.randint(VOCABULARY, (4, 16), generator=torch.Generator().manual_seed(0))
    loss = nn.functional.cross_entropy(model(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten())
    scaler.scale(loss).backward()
    scaler.unscale_(optimiser)
    scaler.step(optimiser)
    scaler.update()
    for found, wanted in zip(model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-6)
    before = copy.deepcopy(model.state_dict())
    model.head.weight.grad.fill_(torch.inf)
    scaler.unscale_(optimiser)
    scaler.step(optimiser)
    scaler.update()
    assert all(map(torch.equal, before.values(), model.state_dict().values()))
    assert scaler.get_scale() == 2.0**9


def test_dion_has_the_settings_it_is_built_with(model: nn.Module):
    changes = {"lr": 0.03, "mu": 0.8, "rank_fraction": 0.25, "eps": 1e-6, "weight_decay": 0.4}
    record = RECORDS["dion"].model_copy(update=changes)
    dion, _ = importlib.import_module(OPTIMISERS["dion"]).build(record, model).parts
    (group,) = dion.param_groups
    assert {name: group[name] for name in changes if name != "rank_fraction"}.items() <= changes.items()
    assert {dion.state[each]["right"].shape[1] for each in group["params"]} == {SMALL.d_model // 4}
