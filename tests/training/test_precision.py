"""Training in half precision: an overflow under the loss scale is skipped, one of the network's own is divergence."""

from __future__ import annotations

import copy
import importlib
import json
import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from nervelab.models.decoder import build
from nervelab.study.components import OPTIMISERS
from nervelab.study.config import RunConfig
from nervelab.training.checkpoint import Checkpoints
from nervelab.training.loop import Diverged, Loop
from nervelab.training.text import open_task
from tests.support.configs import varied
from tests.support.optimisers import RECORDS

STEPS = 12


@pytest.fixture
def make(smoke_config: RunConfig, tokens: Path) -> Callable[..., Loop]:
    """A loop of a small decoder before its first step, and torch's generator as it then is."""

    def loop(precision: str, name: str = "adamw", **scaler: Any) -> Loop:
        config = varied(
            smoke_config,
            training={"steps": STEPS, "precision": precision, "eval_tokens": 256},
            measure={"tokens": 256, "early": [0], "points": 4},
            model={"layers": 1, "d_model": 32, "context": 32, "embedding_dropout": 0.1},
        ).model_copy(update={"optimiser": RECORDS[name]})
        settings = json.loads(config.model_dump_json(), object_hook=lambda each: SimpleNamespace(**each))
        task = open_task(settings, tokens)
        torch.manual_seed(0)
        model = build(settings.model, task.outputs)
        optimiser = importlib.import_module(OPTIMISERS[name]).build(settings.optimiser, model)
        made = Loop(settings, model=model, optimiser=optimiser, task=task, device=torch.device("cpu"))
        if scaler:
            made.scaler.load_state_dict(made.scaler.state_dict() | scaler)
        return made

    return loop


def assert_equal(one: Any, other: Any) -> None:
    torch.testing.assert_close(one, other, rtol=0, atol=0)


@pytest.mark.parametrize(("precision", "error"), [("bfloat16", 2**-7), ("float16", 2**-10)])
def test_a_step_is_that_of_float32_but_for_the_rounding_of_the_precision(
    make: Callable[..., Loop], precision: str, error: float
):
    exact = make("float32")
    exact.train_step()
    half = make(precision)
    half.train_step()
    assert half.gradient_norm != exact.gradient_norm
    assert half.gradient_norm == pytest.approx(exact.gradient_norm, rel=error)
    assert {each.dtype for each in half.model.parameters()} == {torch.float32}
    with half.precision():
        assert half.model(half.task.training_batch(0)[0]).dtype == getattr(torch, precision)


@pytest.mark.parametrize("name", ["adamw", "adafactor"])
def test_an_overflow_under_the_loss_scale_skips_the_step_and_is_no_divergence(make: Callable[..., Loop], name: str):
    loop = make("float16", name, scale=2.0**40)
    before = copy.deepcopy(loop.model.state_dict())
    loop.train_step()
    assert_equal(dict(loop.model.state_dict()), dict(before))
    assert loop.step == 1
    assert loop.scaler.get_scale() == 2.0**39
    loop.measure()
    (row,) = loop.rows.tables["history"]
    assert row["gradient_norm"] is None, "an overflow says nothing of the gradient"
    assert math.isfinite(row["train_loss"])
    loop.scaler.load_state_dict(loop.scaler.state_dict() | {"scale": 2.0**10})
    loop.train_step()
    loop.measure()
    assert not torch.equal(loop.model.head.weight, before["head.weight"])
    assert 0 < loop.rows.tables["history"][-1]["gradient_norm"] < 100


@pytest.mark.parametrize(
    ("precision", "scaler"), [("float32", {}), ("bfloat16", {}), ("float16", {"scale": 0.5})], ids=str
)
def test_a_gradient_that_is_not_finite_without_a_scale_to_blame_is_divergence(
    make: Callable[..., Loop], precision: str, scaler: dict
):
    loop = make(precision, **scaler)
    loop.model.head.weight.register_hook(lambda gradient: torch.full_like(gradient, torch.inf))
    with pytest.raises(Diverged, match="not finite at step 0"):
        loop.train_step()
    still_searching = make("float16", scale=1.0)
    still_searching.model.head.weight.register_hook(lambda gradient: torch.full_like(gradient, torch.inf))
    still_searching.train_step()
    assert still_searching.step == 1


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_a_loss_that_is_not_finite_is_divergence(make: Callable[..., Loop], precision: str):
    loop = make(precision)
    with torch.no_grad():
        loop.model.final_norm.weight.fill_(torch.inf)
    with pytest.raises(Diverged, match="not finite at step 0"):
        loop.train_step()


@pytest.mark.parametrize("name", ["adamw", "adafactor"])
def test_resumed_while_the_scale_is_sought_training_goes_on_exactly(
    make: Callable[..., Loop], tmp_path: Path, name: str
):
    """The scale is doubled after two good steps and halved by an overflow, so that both come after the stop too."""
    sought = {"scale": 2.0**24, "growth_interval": 2}
    whole, norms = make("float16", name, **sought), []
    for _ in range(STEPS):
        whole.train_step()
        norms.append(whole.gradient_norm)
    assert None in norms[5:]
    assert any(norms[5:])
    whole.measure()
    stopped = make("float16", name, **sought)
    for _ in range(5):
        stopped.train_step()
    checkpoints = Checkpoints(tmp_path, seconds=0)
    checkpoints.save(stopped.state())
    resumed = make("float16", name)
    resumed.restore(checkpoints.load())
    for _ in range(STEPS - 5):
        resumed.train_step()
    resumed.measure()
    assert resumed.scaler.state_dict() == whole.scaler.state_dict()
    assert_equal(dict(resumed.model.state_dict()), dict(whole.model.state_dict()))
    assert_equal(resumed.optimiser.state_dict()["state"], whole.optimiser.state_dict()["state"])
    assert resumed.rows.tables["history"] == whole.rows.tables["history"]
