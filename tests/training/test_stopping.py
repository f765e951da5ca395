"""What ends a training before its last step, and what is left then."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from nervelab.errors import NervelabError
from nervelab.leases import LEASE, Holder, ask_to_stop, holder
from nervelab.study.config import RunConfig
from nervelab.training import checkpoint, loop, preemption
from nervelab.training.__main__ import train
from nervelab.training.checkpoint import Checkpoints, sole_owner
from nervelab.training.execution import Execution
from nervelab.training.loop import Loop
from nervelab.training.preemption import Stopped, StopRequest
from nervelab.training.several import Member, train_each
from tests.support.configs import varied, write_plan

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
    execution = replace(execution, checkpoint_seconds=seconds)
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


@pytest.fixture
def request_to_stop() -> Iterator[StopRequest]:
    """A real one; the signals mean afterwards what they meant before."""
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.getsignal(number) for number in numbers]
    yield StopRequest()
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Steps of five seconds and measurements of twelve, by a clock of the test's own that stands still else."""
    told = SimpleNamespace(now=1000.0)
    for name in ("time", "monotonic", "perf_counter"):
        setattr(told, name, lambda: told.now)

    def slow(name: str, seconds: float) -> None:
        quick = getattr(Loop, name)

        def slowed(loop: Loop, *arguments: object) -> object:
            told.now += seconds
            return quick(loop, *arguments)

        monkeypatch.setattr(Loop, name, slowed)

    slow("train_step", 5.0)
    slow("_measured", 12.0)
    for module in (preemption, loop, checkpoint):
        monkeypatch.setattr(module, "time", told)
    return told


def saved_step(execution: Execution) -> int:
    run = json.loads(execution.plan.read_text())["id"]
    return Checkpoints(execution.checkpoints, 0, run=run).load()["step"]


def test_it_stops_early_enough_before_its_deadline_and_goes_on_later(
    execution: Execution, clock: SimpleNamespace, request_to_stop: StopRequest
):
    """Twenty seconds are kept, and twice the slowest step, which a measurement may belong to."""
    execution = replace(execution, checkpoint_seconds=1000.0)
    kept = 20 + 2 * (5 + 12)  # from step 4 on, which is measured, as are 0 and 5
    sixth = 1000 + 6 * 5 + 3 * 12
    with pytest.raises(Stopped) as stopped:
        train(replace(execution, deadline=sixth + kept), request_to_stop)
    assert str(stopped.value) == ("stopped before its job's time limit; the same command goes on from the checkpoint")
    assert stopped.value.exit_status == 75
    assert saved_step(execution) == 6
    assert sorted(path.name for path in execution.checkpoints.iterdir()) == ["lock", "progress.json", "state.pt"]
    # The next execution has not measured anything yet, and knows from the checkpoint how long that takes.
    with pytest.raises(Stopped):
        train(replace(execution, deadline=clock.now + 20 + 2 * 12), request_to_stop)
    assert saved_step(execution) == 6
    with pytest.raises(Stopped):
        train(replace(execution, deadline=clock.now + 20 + 2 * 12 + 1), request_to_stop)
    assert saved_step(execution) == 7
    assert train(execution, request_to_stop) in ("finished", "stuck")
    assert not execution.checkpoints.exists()


def test_the_time_that_saving_takes_is_kept_too(
    execution: Execution, clock: SimpleNamespace, request_to_stop: StopRequest, monkeypatch: pytest.MonkeyPatch
):
    def slow_write(path: Path, write: Callable[[Path], object]) -> None:
        clock.now += 30.0
        write(path)

    monkeypatch.setattr(checkpoint, "write_with", slow_write)
    first_save = 1000 + 12
    with pytest.raises(Stopped):
        train(
            replace(execution, checkpoint_seconds=0.0, deadline=first_save + 30 + 5 + 20 + 2 * (12 + 30)),
            request_to_stop,
        )
    assert saved_step(execution) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_named(request_to_stop: StopRequest, number: signal.Signals):
    assert request_to_stop.asked() is None
    os.kill(os.getpid(), number)
    asked = request_to_stop.asked()
    assert str(asked) == f"stopped by {number.name}; the same command goes on from the checkpoint"
    assert asked.exit_status == 128 + number


def test_who_waits_for_another_trainer_stops_before_its_deadline(tmp_path: Path, request_to_stop: StopRequest):
    request_to_stop.deadline = 0.0
    (tmp_path / "other").mkdir()
    with (tmp_path / "other" / "lock").open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with (
            pytest.raises(Stopped, match="before its job's time limit"),
            sole_owner(tmp_path / "other", request_to_stop),
        ):
            pass
    (tmp_path / "elsewhere").mkdir()
    other = Holder(host="there", boot="", pid=7, job=None, restart=0, nonce="bb")
    (tmp_path / "elsewhere" / LEASE).write_bytes(other.record())
    with (
        pytest.raises(Stopped, match="before its job's time limit"),
        sole_owner(tmp_path / "elsewhere", request_to_stop),
    ):
        pass
    assert holder(tmp_path / "elsewhere") == other


def test_one_that_would_begin_too_late_does_not_begin(
    execution: Execution, request_to_stop: StopRequest, capsys: pytest.CaptureFixture
):
    execution = replace(execution, deadline=0.0)
    assert train_each([Member(execution)], train, request_to_stop) == 75
    assert capsys.readouterr().err == (
        "stopped before its job's time limit; the same command goes on from the checkpoint\n"
    )
    assert not execution.checkpoints.exists()


def test_it_saves_and_stops_as_the_build_asks(smoke_config: RunConfig, tokens: Path, tmp_path: Path):
    config = varied(smoke_config, training={"steps": 10**6, "eval_tokens": 1024}, measure={"tokens": 512, "chunk": 8})
    folder = tmp_path / "checkpoint"
    paths = {
        "plan": write_plan(tmp_path / "plan.json", config),
        "data": tokens,
        "out": tmp_path / "run",
        "checkpoints": folder,
    }
    command = [sys.executable, "-m", "nervelab.training"]
    command += [word for key, value in paths.items() for word in (f"--{key}", str(value))]
    process = subprocess.Popen([*command, "--checkpoint-seconds", "1000"], stderr=subprocess.PIPE, text=True)
    while not (folder / "progress.json").exists():
        assert process.poll() is None
        time.sleep(0.05)
    assert holder(folder).pid == process.pid
    assert ask_to_stop(folder)
    _, said = process.communicate()
    assert (process.returncode, said) == (
        75,
        "stopped as the build asked; the same command goes on from the checkpoint\n",
    )
    assert sorted(path.name for path in folder.iterdir()) == ["lock", "progress.json", "state.pt"]
    assert not paths["out"].exists()
