"""The command that trains the runs of one or several plans."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from nervelab import layout
from nervelab.errors import NervelabError
from nervelab.study.plans import Plan, read_plan


def trainer(
    paths: Sequence[Path], runs: Path, *, logs: Path | None, options: Mapping[str, object]
) -> tuple[list[str], Path]:
    """The command that trains the runs of these plans, and the folder of the code that it runs.

    Args:
        paths: the plans.
        runs: the folder in which each run gets a folder of its name.
        logs: the folder of a log for each run; None where what is said is to go where this process's goes.
        options: of the trainer, those that are None left out.

    Raises:
        NervelabError: a plan is not what was written, or two were made with different code.
    """
    plans = [read_plan(path) for path in paths]
    names = [plan.content["name"] for plan in plans]
    code = _one_code(plans)
    command = [sys.executable, "-P", "-m", "nervelab.training", "--code", str(code)]
    for_each = {
        "plan": paths,
        "data": [plan.data for plan in plans],
        "out": [runs / name for name in names],
        "checkpoints": [layout.CHECKPOINTS / name for name in names],
    }
    if logs is not None:
        for_each["log"] = [logs / f"{name}.log" for name in names]
    for key, values in for_each.items():
        command += [f"--{key}", *map(str, values)]
    for key, value in options.items():
        command += [] if value is None else [f"--{key}", str(value)]
    return command, code


def _one_code(plans: Sequence[Plan]) -> Path:
    first = plans[0]
    for plan in plans[1:]:
        if plan.code != first.code:
            raise NervelabError(
                f"{plan.path} was made with other code than {first.path}: train them by a command for each."
            )
    return first.code.resolve()
