"""The models and recipes beside GPT-2's: what stands here for each of the paper's."""

from __future__ import annotations

from typing import Any

import polars as pl

from nervelab.aggregates.find import Aggregates
from nervelab.aggregates.run import Run, names
from nervelab.analysis.tables.settings import (
    data_in_words,
    rate_in_words,
    schedule_in_words,
    together,
)
from nervelab.analysis.tables.table import RUNS, RUNS_TYPE, Column, Table
from nervelab.paper import printed as paper
from nervelab.words.numbers import thousands

_ID = "bases"
_HEADINGS = {"length": "training", "optimisers": "learning rates"}
_COLUMNS = ("model", "paper", "here", "data", "length", "optimisers", "schedule")


def _build(aggregates: Aggregates) -> pl.DataFrame:
    rows = []
    for printed in paper.rows(_ID):
        runs = [run for run in aggregates.all_runs() if run.row["base"] == printed["base"]]
        if runs:
            rows.append({"model": printed["label"], "paper": printed["paper"], **_here(runs), RUNS: names(runs)})
    return pl.DataFrame(rows, schema=dict.fromkeys(_COLUMNS, pl.String) | {RUNS: RUNS_TYPE})


def _here(runs: list[Run]) -> dict[str, str]:
    return {
        "here": together(_shape(run) for run in runs),
        "data": together(data_in_words(run.row, run.config) for run in runs),
        "length": together(_length(run.config) for run in runs),
        "optimisers": together((rate_in_words(run.config["optimiser"]) for run in runs), "; "),
        "schedule": together(schedule_in_words(run.config) for run in runs),
    }


def _shape(run: Run) -> str:
    model = run.config["model"]
    heads = f", {model['heads']} heads" if "heads" in model else f", patches of {model['patch']}"
    return f"d {model['d_model']}, D {run.width}, {model['layers']} layers{heads}"


def _length(config: dict[str, Any]) -> str:
    training, model = config["training"], config["model"]
    if model["family"] == "mixer":
        return f"{thousands(training['steps'])} steps of {training['batch']} images"
    cut = {"crops": "", "documents": ", a document each", "chunks": ", cut from documents"}[training["windows"]]
    return f"{thousands(training['steps'])} steps of {training['batch']} × {model['context']} tokens{cut}"


BASES = Table(
    id=_ID,
    title="The other models and recipes, the paper's beside those here",
    caption=(
        "Paper: as far as it prints them; what it leaves open (†) is taken from the code that it follows. Where runs "
        "differ, all values are listed. All settings of a run are in its run.json."
    ),
    columns=tuple(Column(name, _HEADINGS.get(name, name)) for name in _COLUMNS),
    build=_build,
)
