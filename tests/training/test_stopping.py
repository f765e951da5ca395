"""What ends a training before its last step, and what is left then."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from nervelab.errors import NervelabError
from nervelab.leases import LEASE, Holder
from nervelab.study.config import RunConfig
from nervelab.training.__main__ import train
from nervelab.training.execution import Execution
from nervelab.training.preemption import Stopped
from small_model import varied, write_plan

STEPS = 12


class AtStep:
    """A request to stop that never comes; before the step `step` something happens."""

    def __init__(self, step: int, happens: Callable[[], object]) -> None:
        self.left, self.happens = step, happens

    def asked(self, _reserve: float = 0.0) -> Stopped | None:
        if self.left == 0:
            self.happens()
        self.left -= 1
        return None


@pytest.fixture
def execution(smoke_config: RunConfig, tokens: Path, tmp_path: Path) -> Execution:
    config = varied(
        smoke_config,
        training={"steps": STEPS, "eval_tokens": 1024},
        measure={"tokens": 512, "points": 3, "early": [0, 5], "chunk": 8},
        model={"layers": 2, "d_model": 32, "context": 32},
    )
    plan = write_plan(tmp_path / "plan.json", config)
    return Execution(plan=plan, data=tokens, out=tmp_path / "run", checkpoints=tmp_path / "checkpoint")


@pytest.mark.parametrize(("step", "seconds"), [(3, 0.0), (3, 1000.0), (STEPS - 1, 1000.0)])
def test_a_trainer_whose_run_has_another_one_writes_nothing_more(execution: Execution, step: int, seconds: float):
    """Neither a checkpoint nor, where the next one would come after the last step, the run."""
    execution = Execution(**{**vars(execution), "checkpoint_seconds": seconds})
    other = Holder(host="there", boot="", pid=7, job=None, restart=0, nonce="bb")
    left = {}

    def taken_over() -> None:
        (execution.checkpoints / LEASE).write_bytes(other.record())
        left.update({path: path.read_bytes() for path in execution.checkpoints.iterdir()})

    with pytest.raises(NervelabError, match="process 7 on there has taken it over"):
        train(execution, AtStep(step, taken_over))
    assert {path: path.read_bytes() for path in execution.checkpoints.iterdir()} == left
    assert json.loads((execution.checkpoints / LEASE).read_bytes())["nonce"] == "bb"
    assert not execution.out.exists()
