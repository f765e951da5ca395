"""With every optimiser a run is repeatable, and ends with the same bytes however often it was stopped."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import polars as pl
import pytest
import torch

from nervelab import runfiles
from nervelab.study.config import RunConfig
from nervelab.training.__main__ import train
from nervelab.training.checkpoint import Checkpoints
from nervelab.training.execution import Execution
from nervelab.training.preemption import Stopped
from optimiser_records import RECORDS
from small_model import varied, write_plan

STEPS = 40


@pytest.fixture
def config(smoke_config: RunConfig) -> RunConfig:
    return varied(
        smoke_config,
        training={"steps": STEPS, "eval_tokens": 1024},
        measure={"tokens": 512, "points": 2, "early": [0], "chunk": 8},
        model={"embedding_dropout": 0.1, "layers": 2, "d_model": 32, "context": 32},
    )


class StopAfter:
    """A request to stop that comes after `steps` more steps."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    @property
    def number(self) -> int | None:
        self.left -= 1
        return signal.SIGTERM if self.left < 0 else None


def run(config: RunConfig, tokens: Path, root: Path, stops: tuple[int, ...] = ()) -> dict[str, bytes]:
    """Train in this process, stopped after each of `stops` more steps; what must be equal between two executions."""
    plan = write_plan(root / "plan.json", config)
    execution = Execution(plan=plan, tokens=tokens, out=root / "run", checkpoints=root / "checkpoint")
    for steps in stops:
        with pytest.raises(Stopped):
            train(execution, StopAfter(steps))
        torch.rand(7)  # whatever else this process draws
    train(execution, StopAfter(STEPS + 1))
    return {name: (root / "run" / name).read_bytes() for name in (*runfiles.RUN_RESULTS, runfiles.RUN_JSON)}


@pytest.mark.parametrize("name", RECORDS)
def test_repeated_and_resumed_a_run_ends_with_the_same_bytes(
    config: RunConfig, tokens: Path, tmp_path: Path, name: str
):
    config = config.model_copy(update={"optimiser": RECORDS[name]})
    once = run(config, tokens, tmp_path / "once")
    assert run(config, tokens, tmp_path / "again") == once
    assert run(config, tokens, tmp_path / "stopped", stops=(0, 7, 12)) == once
    said = json.loads(once["run.json"])
    assert said["config"]["optimiser"] == RECORDS[name].model_dump(mode="json")
    losses = pl.read_parquet(tmp_path / "once" / "run" / "history.parquet")["eval_loss"].to_list()
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("name", ["muon", "dion"])
def test_what_a_checkpoint_holds_of_an_optimiser_is_needed(config: RunConfig, tokens: Path, tmp_path: Path, name: str):
    """The test above would see a forgotten momentum: with it set to zero the run ends with other bytes."""
    config = config.model_copy(update={"optimiser": RECORDS[name]})
    once = run(config, tokens, tmp_path / "once")
    plan = write_plan(tmp_path / "plan.json", config)
    execution = Execution(plan=plan, tokens=tokens, out=tmp_path / "run", checkpoints=tmp_path / "checkpoint")
    with pytest.raises(Stopped):
        train(execution, StopAfter(20))
    checkpoints = Checkpoints(execution.checkpoints, seconds=0)
    state = checkpoints.load()
    for remembered in state["optimiser"]["parts"][0]["state"].values():
        for tensor in remembered.values():
            tensor.zero_()
    checkpoints.save(state)
    train(execution, StopAfter(STEPS + 1))
    assert (tmp_path / "run" / "model.safetensors").read_bytes() != once["model.safetensors"]


def test_the_history_has_the_rate_of_the_hidden_matrices(config: RunConfig, tokens: Path, tmp_path: Path):
    config = varied(config, training={"warmup": 0.0, "decay": "constant"})
    run(config.model_copy(update={"optimiser": RECORDS["dion"]}), tokens, tmp_path)
    assert pl.read_parquet(tmp_path / "run" / "history.parquet")["lr"][-1] == RECORDS["dion"].lr
