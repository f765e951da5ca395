"""A run measured in train mode: the same training and eval loss, spectra with dropout and rounding, the same anew."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from nervelab.models.decoder import build
from nervelab.optim.adamw import build as adamw
from nervelab.study.config import RunConfig
from nervelab.training.loop import Loop
from nervelab.training.schedule import measuring_seed
from nervelab.training.text import open_task
from tests.support.configs import varied
from tests.training.test_training import command, contents, saved_or_over, train, wait_for

MODES = ("eval", "train")


def small(
    config: RunConfig, *, mode: str, dropout: float = 0.1, precision: str = "float32", **measure: Any
) -> RunConfig:
    return varied(
        config,
        training={"steps": 12, "eval_tokens": 256, "precision": precision},
        measure={"tokens": 512, "points": 2, "early": [0], "chunk": 8, "mode": mode} | measure,
        model={"embedding_dropout": dropout, "layers": 2, "d_model": 32, "context": 32},
    )


@pytest.fixture
def make(smoke_config: RunConfig, tokens: Path) -> Callable[..., Loop]:
    """A loop of a small decoder before its first step."""

    def loop(**settings: Any) -> Loop:
        config = small(smoke_config, **settings)
        settings = json.loads(config.model_dump_json(), object_hook=lambda each: SimpleNamespace(**each))
        task = open_task(settings, tokens)
        torch.manual_seed(0)
        model = build(settings.model, task.outputs)
        optimiser = adamw(settings.optimiser, model)
        return Loop(settings, model=model, optimiser=optimiser, task=task, device=torch.device("cpu"))

    return loop


def trained(loop: Loop) -> dict[str, list[dict[str, Any]]]:
    """The rows of a run that is trained to its end."""
    torch.manual_seed(1)
    for _ in loop.steps(loop.config.training.steps):
        pass
    return loop.rows.tables


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("source", ["probe", "batch"])
def test_training_and_eval_losses_are_bitwise_those_of_the_other_mode(
    make: Callable[..., Loop], precision: str, source: str
):
    measured = {"source": source, "tokens": 512 if source == "probe" else None}
    loops = [make(mode=mode, precision=precision, **measured) for mode in MODES]
    (evaluated, generator), (as_trained, other) = ((trained(loop), torch.get_rng_state()) for loop in loops)
    assert as_trained["history"] == evaluated["history"]
    assert [row["train_loss"] is None for row in evaluated["history"]] == [True, False, False]
    weights, others = (loop.model.state_dict() for loop in loops)
    assert all(torch.equal(weights[name], others[name]) for name in weights)
    assert torch.equal(generator, other)
    assert evaluated["spectra"] != as_trained["spectra"]


def test_without_dropout_and_in_float32_both_modes_measure_the_same_bits(make: Callable[..., Loop]):
    evaluated, as_trained = (trained(make(mode=mode, dropout=0.0)) for mode in MODES)
    assert as_trained["spectra"] == evaluated["spectra"]
    assert len(evaluated["spectra"]) == 6


@pytest.mark.parametrize(("dropout", "precision"), [(0.1, "float32"), (0.0, "bfloat16")])
def test_dropout_and_half_precision_each_move_every_spectrum(make: Callable[..., Loop], dropout: float, precision: str):
    evaluated, as_trained = (trained(make(mode=mode, dropout=dropout, precision=precision)) for mode in MODES)
    for one, other in zip(evaluated["spectra"], as_trained["spectra"], strict=True):
        for metric in ("se_pre", "se_post", "pr_pre", "pr_post", "eee_pre", "eee_post", "js"):
            assert one[metric] != other[metric]
            assert one[metric] == pytest.approx(other[metric], rel=0.5)


def test_what_is_measured_is_the_forward_of_training_with_the_seed_of_the_step(make: Callable[..., Loop]):
    """Made by hand: the final weights, the masks of that seed, autocast; numpy's covariance."""
    loop = make(mode="train", precision="bfloat16")
    rows = [row for row in trained(loop)["spectra"] if row["step"] == 12]
    kept: dict[str, list[torch.Tensor]] = {}
    for number, site in enumerate(loop.task.sites(loop.model)):
        site.pre.register_forward_hook(lambda _m, _x, out, key=f"pr_pre{number}": kept.setdefault(key, []).append(out))
        site.down.register_forward_pre_hook(lambda _m, x, key=f"pr_post{number}": kept.setdefault(key, []).append(x[0]))
    torch.manual_seed(measuring_seed(0, 12))
    loop.model.train()
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        for inputs_BT, _ in loop.task.measured(12):
            loop.model(inputs_BT)
    assert len(rows) == 2
    for row in rows:
        for site in ("pr_pre", "pr_post"):
            parts = kept[f"{site}{row['layer']}"]
            assert {x.dtype for x in parts} == {torch.bfloat16}
            covariance = np.cov(torch.cat([x.flatten(0, 1) for x in parts]).double().numpy(), rowvar=False)
            assert row[site] == pytest.approx(np.trace(covariance) ** 2 / (covariance**2).sum(), rel=1e-5)


def test_dropout_is_another_at_each_step_and_seed_and_what_was_drawn_before_does_not_matter(make: Callable[..., Loop]):
    loop = make(mode="train")
    loop.measure()
    torch.rand(7)
    loop.measure()
    loop.step = 1
    loop.measure()
    first, again, later = (loop.rows.tables["spectra"][start : start + 2] for start in (0, 2, 4))
    assert again == first
    assert [row["pr_post"] for row in later] != [row["pr_post"] for row in first]
    assert len({measuring_seed(seed, step) for seed in range(20) for step in range(20)}) == 400


def test_killed_and_resumed_it_ends_with_the_same_bytes(smoke_config: RunConfig, tokens: Path, tmp_path: Path):
    config = varied(small(smoke_config, mode="train"), training={"steps": 400}, measure={"points": 20})
    whole = contents(train(config, tokens, tmp_path / "whole"))
    again = command(config, tokens, tmp_path / "killed", "--checkpoint-seconds", "0.05")
    process = subprocess.Popen(again, stderr=subprocess.DEVNULL)
    wait_for(partial(saved_or_over, tmp_path / "killed" / "checkpoint" / "state.pt", process))
    process.kill()
    assert process.wait() != 0, "the run was too short to be stopped"
    subprocess.run(again, check=True, capture_output=True)
    assert contents(tmp_path / "killed" / "run") == whole
