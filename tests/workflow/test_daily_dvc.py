"""What README shows of DVC's experiments works, on the study that it was shown on."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.project import Project

README = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")


def shown() -> list[str]:
    """The commands of README's block of experiments."""
    (block,) = (block for block in re.findall(r"```console\n(.*?)```", README, flags=re.DOTALL) if "dvc exp" in block)
    return re.findall(r"^\$ (.*)$", block, flags=re.MULTILINE)


@pytest.mark.slow
def test_experiments_run_as_the_readme_shows_them_and_train_nothing_that_is_there(built: Project):
    before = built.run_times()
    said = {command: built.run(command.replace('"', "")) for command in shown()}
    table = next(answer for command, answer in said.items() if "exp show" in command)
    assert max(map(len, table.splitlines())) <= 100
    assert re.search(r"\[quarter\] +0\.25", table), table
    everything = built.run("dvc exp show --csv")
    for name, value in {"quarter": "0.25", "window-1": "0.3", "window-2": "0.45"}.items():
        (row,) = (line for line in everything.splitlines() if line.startswith(f"{name},"))
        assert value in row.split(","), row
    assert built.run_times() == before
    assert built.run("git status --porcelain dvc_plots") == ""
