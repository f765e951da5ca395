"""`nervelab train`: which plans it hands to the trainer, and how."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from nervelab import cli, layout, runfiles
from nervelab.build import trainer
from nervelab.errors import NervelabError
from nervelab.files import sha256, write_sealed
from nervelab.study.plans import read_plan, write_plan
from nervelab.study.runs import Run, load_project

PARAMS = Path(__file__).resolve().parents[1] / "workflow" / "params.yaml"
FOR_EACH = ("--plan", "--data", "--out", "--checkpoints", "--log")


@pytest.fixture
def planned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Run]:
    """Runs whose plans are there, in a folder in which the test then stands."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(PARAMS, "params.yaml")
    Path("texts").mkdir()
    Path("texts/text.py").write_text("a text", encoding="utf-8")
    runs = list(load_project().runs)[:3]
    for run in runs:
        write_plan(run)
    return runs


@pytest.fixture
def train(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, list[str]] | None]:
    """Calls `nervelab train`; gives the options of the trainer that takes its place, None where none does."""

    class Replaced(Exception):
        pass

    def execve(_program: str, command: list[str], environment: dict[str, str]) -> None:
        raise Replaced(command, environment)

    def call(*words: str) -> dict[str, list[str]] | None:
        monkeypatch.setattr(os, "execve", execve)
        monkeypatch.setattr(sys, "argv", ["nervelab", "train", *words])
        try:
            cli.app(standalone_mode=False)
        except Replaced as replaced:
            command, environment = replaced.args
            assert command[:4] == [sys.executable, "-P", "-m", "nervelab.training"]
            options: dict[str, list[str]] = {}
            for word in command[4:]:
                if word.startswith("--"):
                    key = word
                options.setdefault(key, []).extend([] if word.startswith("--") else [word])
            assert environment["PYTHONPATH"].split(os.pathsep)[0] == options.pop("--code")[0]
            return options
        return None

    return call


def plan(run: Run) -> str:
    return str(layout.plan_path(run.name))


def make_whole(run: Run) -> Path:
    for file in runfiles.RUN_FILES:
        (run.folder / file).parent.mkdir(parents=True, exist_ok=True)
        (run.folder / file).write_text("content", encoding="utf-8")
    files = {file: sha256(run.folder / file) for file in runfiles.RUN_RESULTS}
    write_sealed(run.folder / runfiles.RUN_JSON, {"id": run.id, "files": files})
    return run.folder


def test_one_plan_is_trained_as_it_is_told_and_says_so_itself(planned: list[Run], train: Callable):
    run = planned[0]
    told = train(plan(run), "--runs", "runs/laptop", "--threads", "3", "--checkpoint-seconds", "7")
    assert told == {
        "--plan": [plan(run)],
        "--data": [str(run.data.folder)],
        "--out": [f"runs/laptop/{run.name}"],
        "--checkpoints": [f".checkpoints/{run.name}"],
        "--device": ["cpu"],
        "--threads": ["3"],
        "--accumulation": ["1"],
        "--checkpoint-seconds": ["7.0"],
    }


def test_several_plans_are_handed_on_together_with_a_log_each(planned: list[Run], train: Callable):
    told = train(*map(plan, planned), "--runs", "runs/laptop")
    assert told["--plan"] == [plan(run) for run in planned]
    assert told["--log"] == [f"logs/laptop/{run.name}.log" for run in planned]
    assert {len(told[option]) for option in FOR_EACH} == {len(planned)}


def test_runs_that_are_whole_are_left_out(
    planned: list[Run], train: Callable, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    runs = str(planned[0].folder.parent)
    whole = make_whole(planned[0])
    told = train(*map(plan, planned), "--runs", runs)
    assert told["--plan"] == [plan(run) for run in planned[1:]]
    assert f"{whole} is there and whole, and is not made again" in capsys.readouterr().err
    for run in planned[1:]:
        make_whole(run)
    monkeypatch.setitem(sys.modules, "nervelab.training", None)  # what would import torch
    monkeypatch.setattr(trainer, "read_plan", lambda _: pytest.fail("a plan was read"))
    assert train(*map(plan, planned), "--runs", runs) is None


def test_the_last_plan_left_of_several_has_its_log_too(planned: list[Run], train: Callable):
    for run in planned[1:]:
        make_whole(run)
    told = train(*map(plan, planned), "--runs", str(planned[0].folder.parent))
    assert told["--log"] == [f"logs/{planned[0].scale}/{planned[0].name}.log"]


def test_a_time_limit_becomes_a_deadline(planned: list[Run], train: Callable, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.setattr(cli.time, "time", lambda: 5000.0)
    assert train(plan(planned[0]), "--runs", "runs/laptop", "--minutes", "2.5")["--deadline"] == ["5150.0"]


def test_plans_of_different_code_are_refused(planned: list[Run], train: Callable, monkeypatch: pytest.MonkeyPatch):
    def read(path: Path):
        found = read_plan(path)
        other = {"fingerprint": "f" * 64} if str(path) == plan(planned[1]) else {}
        return replace(found, content=found.content | other)

    monkeypatch.setattr(trainer, "read_plan", read)
    with pytest.raises(NervelabError) as caught:
        train(*map(plan, planned), "--runs", "runs/laptop")
    assert str(caught.value) == (
        f"{plan(planned[1])} was made with other code than {plan(planned[0])}: train them by a command for each."
    )
