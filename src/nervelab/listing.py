"""The listing of `nervelab runs`."""

import importlib
import json
from io import StringIO
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from nervelab import layout, runfiles
from nervelab.files import read_json
from nervelab.study.components import components
from nervelab.study.config import RunConfig
from nervelab.study.runs import Run, load_project


def rows(scale: str | None, only: str | None) -> list[dict[str, Any]]:
    """One row for each study and run: study, run, id, the settings, parameters, steps, state.

    Raises:
        NervelabError: bad input.
    """
    return [
        {
            "study": study,
            "run": run.name,
            "id": run.id,
            **run.settings,
            "parameters": parameter_count(run.config),
            "steps": run.config.training.steps,
            "state": state(run),
        }
        for run in load_project(scale=scale, only=only).runs
        for study in run.studies
        if only in (None, study)
    ]


def state(run: Run) -> str:
    """finished, stuck or diverged; else started (there is a checkpoint), incomplete (a file is missing) or absent."""
    present = [(run.folder / file).exists() for file in runfiles.RUN_FILES]
    if all(present):
        return read_json(run.folder / runfiles.RUN_JSON, "delete it and run make again.")["outcome"]
    if (layout.CHECKPOINTS / run.name / "state.pt").exists():
        return "started"
    return "incomplete" if any(present) else "absent"


def as_json(scale: str | None, only: str | None = None) -> str:
    """The listing as JSON."""
    return json.dumps(rows(scale, only), indent=2) + "\n"


def as_table(scale: str | None, only: str | None = None) -> str:
    """The listing for a terminal; settings that are the same everywhere are said once, below."""
    listed = rows(scale, only)
    keys = list(dict.fromkeys(key for row in listed for key in row))  # not every setting is one of every model
    common = [key for key in keys if len({str(row.get(key)) for row in listed}) == 1 and len(listed) > 1]
    shown = [key for key in keys if key not in common and key != "id"]
    table = Table(box=None, pad_edge=False)
    for key in shown:
        table.add_column(key.removeprefix("model."), justify="right" if isinstance(listed[0].get(key), int) else "left")
    for row in listed:
        table.add_row(*(f"{row[key]:,}" if key == "parameters" else _short(row.get(key, "")) for key in shown))
    text = StringIO()
    console = Console(file=text, width=max(100, Console().width))
    console.print(table)
    count = f"{len(listed)} runs" if len(listed) > 1 else "1 run"
    console.print("; all with ".join(filter(None, (count, ", ".join(f"{key} {listed[0][key]}" for key in common)))))
    return text.getvalue()


def _short(value: Any) -> str:
    """A setting in a cell; of a long list the first and how many more."""
    if isinstance(value, list | tuple) and len(value) > 2:
        return f"{value[0]} and {len(value) - 1} more"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def parameter_count(config: RunConfig) -> int:
    """The number of trainable parameters of a run's model, shared tensors counted once; allocates nothing."""
    family = importlib.import_module(components(config)["model"])
    with torch.device("meta"):
        model = family.build(config.model, config.outputs)
    return sum(each.numel() for each in model.parameters())
