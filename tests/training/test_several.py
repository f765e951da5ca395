"""Runs that are trained by one process end as each does alone."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from nervelab import runfiles
from nervelab.errors import NervelabError
from nervelab.study.config import RunConfig
from nervelab.training import __main__ as trainer
from nervelab.training.execution import Execution
from nervelab.training.preemption import Stopped
from nervelab.training.several import Member, train_each
from tests.support.configs import varied, write_plan


class Never:
    """A request to stop that does not come before `train_each` has asked so many times."""

    def __init__(self, after: float = float("inf")) -> None:
        self.left = after

    def asked(self, _reserve: float = 0.0) -> Stopped | None:
        self.left -= 1
        return Stopped("by the test", 99) if self.left < 0 else None


@pytest.fixture
def configs(smoke_config: RunConfig) -> dict[str, RunConfig]:
    """Two of them, which draw all that they draw from another seed."""
    first = varied(
        smoke_config,
        training={"steps": 12, "eval_tokens": 1024},
        measure={"tokens": 512, "points": 3, "early": [0, 5], "chunk": 8},
        model={"embedding_dropout": 0.1, "layers": 2, "d_model": 32, "context": 32},
    )
    return {"a": first, "b": varied(first, seed=5, model={"embedding_dropout": 0.3, "width_multiple": 2})}


def command(plans: Sequence[Path], tokens: Path, root: Path, *options: str) -> list[str]:
    arguments = ["--plan", *map(str, plans), "--data", *[str(tokens)] * len(plans)]
    for key in ("out", "checkpoints"):
        arguments += [f"--{key}", *(str(root / key / plan.stem) for plan in plans)]
    return [sys.executable, "-m", "nervelab.training", *arguments, *options]


def contents(run: Path) -> dict[str, bytes]:
    return {name: (run / name).read_bytes() for name in (*runfiles.RUN_RESULTS, runfiles.RUN_JSON)}


def test_in_either_order_each_leaves_the_bytes_that_it_leaves_alone(
    configs: dict[str, RunConfig], tokens: Path, tmp_path: Path
):
    plans = {name: write_plan(tmp_path / f"{name}.json", config) for name, config in configs.items()}
    alone = {}
    for name, plan in plans.items():
        subprocess.run(command([plan], tokens, tmp_path / "alone"), check=True, capture_output=True)
        alone[name] = contents(tmp_path / "alone" / "out" / name)
    assert alone["a"] != alone["b"]
    for order in ("ab", "ba"):
        root = tmp_path / order
        chosen = [plans[name] for name in order]
        logs = ["--log", *(str(root / "logs" / f"{name}.log") for name in order)]
        ended = subprocess.run(command(chosen, tokens, root, *logs), check=True, capture_output=True, text=True)
        assert {name: contents(root / "out" / name) for name in order} == alone
        assert ended.stderr == "".join(f"{name}: stuck\n" for name in order)
        assert {name: (root / "logs" / f"{name}.log").read_text() for name in order} == {
            name: f"{name}: stuck\n" for name in order
        }
        assert not list((root / "checkpoints").iterdir())


def test_what_ends_one_badly_ends_no_other(configs: dict[str, RunConfig], tokens: Path, tmp_path: Path):
    plans = [write_plan(tmp_path / f"{name}.json", configs["a"]) for name in ("defect", "refused", "good")]
    changed = {"defect": {"components": {}}, "refused": {"inputs": {"tokens": "another"}}}
    for plan in plans:
        plan.write_text(json.dumps(json.loads(plan.read_text()) | changed.get(plan.stem, {})))
    logs = [tmp_path / f"{plan.stem}.log" for plan in plans]
    logs[2].write_text("of the time before\n")
    ended = subprocess.run(
        command(plans, tokens, tmp_path, "--log", *map(str, logs)), check=False, capture_output=True, text=True
    )
    assert ended.returncode == 1
    refusal = f"{tokens} holds the data 0123456789, not another: run make again."
    assert ended.stderr.splitlines() == [
        f"error: defect: KeyError: 'task' ({logs[0]} has the whole story)",
        f"error: refused: {refusal}",
        "good: stuck",
    ]
    assert logs[0].read_text().startswith("Traceback")
    assert logs[0].read_text().endswith("KeyError: 'task'\n")
    assert [log.read_text() for log in logs[1:]] == [f"error: {refusal}\n", "good: stuck\n"]
    assert (tmp_path / "out" / "good" / "run.json").exists()


def test_as_many_of_each_are_needed(
    configs: dict[str, RunConfig], tokens: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    plans = [write_plan(tmp_path / "a.json", configs["a"])]
    words = command(plans, tokens, tmp_path, "--log", "a.log", "b.log")[3:]
    monkeypatch.setattr(sys, "argv", ["training", *words])
    with pytest.raises(SystemExit) as ended:
        trainer.main()
    assert ended.value.code == 2


def test_the_first_is_no_longer_in_memory_when_the_second_begins(
    configs: dict[str, RunConfig], tokens: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    seen: list[weakref.ref] = []
    prepared = trainer.prepared

    def watched(*arguments: object):
        assert all(each() is None for each in seen)
        loop = prepared(*arguments)
        seen.extend(map(weakref.ref, (loop, loop.model, *loop.model.parameters())))
        return loop

    monkeypatch.setattr(trainer, "prepared", watched)
    members = []
    for name in ("one", "two"):
        plan = write_plan(tmp_path / f"{name}.json", configs["a"])
        members.append(Member(Execution(plan, tokens, tmp_path / name, tmp_path / f"{name}-state")))
    assert train_each(members, trainer.train, Never()) == 0
    assert len(seen) > 2 * 10


@pytest.fixture
def members(tmp_path: Path) -> list[Member]:
    return [Member(Execution(Path(), Path(), tmp_path / name, tmp_path / f"{name}-state")) for name in "abcd"]


def trained(into: list[str], errors: dict[str, Exception]) -> Callable:
    def train(execution: Execution, _stop: object) -> str:
        into.append(execution.out.name)
        if execution.out.name in errors:
            raise errors[execution.out.name]
        return "finished"

    return train


def test_those_that_were_begun_before_go_last(members: list[Member]):
    """One that kills the process whenever it is trained would else keep the others from it for ever."""
    members[0].execution.checkpoints.mkdir()
    members[2].execution.checkpoints.mkdir()
    order: list[str] = []
    assert train_each(members, trained(order, {}), Never()) == 0
    assert order == ["b", "d", "a", "c"]


def test_the_exit_status_is_the_first_that_is_not_0(members: list[Member]):
    order: list[str] = []
    errors = {"b": NervelabError("refused"), "c": RuntimeError("a defect")}
    assert train_each(members, trained(order, errors), Never()) == 2
    assert order == list("abcd")


@pytest.mark.parametrize("stops_in", [True, False])
def test_a_stop_ends_all(members: list[Member], stops_in: bool, capsys: pytest.CaptureFixture):
    order: list[str] = []
    errors = {"b": Stopped("by the test", 99)} if stops_in else {}
    assert train_each(members, trained(order, errors), Never(4 if stops_in else 2)) == 99
    assert order == ["a", "b"]
    assert capsys.readouterr().err.endswith("stopped by the test; the same command goes on from the checkpoint\n")


@pytest.mark.parametrize("fails", [False, True])
def test_what_holds_itself_is_freed_before_the_next(members: list[Member], fails: bool):
    class Held:
        pass

    left: list[weakref.ref] = []

    def train(_execution: Execution, _stop: object) -> str:
        assert [each() for each in left] == [None] * len(left)
        held = Held()
        held.itself = held
        left.append(weakref.ref(held))
        if fails:
            raise RuntimeError("a defect")
        return "finished"

    gc.disable()  # it might pass by just then
    try:
        assert train_each(members, train, Never()) == int(fails)
    finally:
        gc.enable()
    assert len(left) == 4
