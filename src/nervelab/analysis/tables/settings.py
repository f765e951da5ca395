"""What was trained and measured here, beside the paper's."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

import polars as pl

from nervelab.analysis import paper
from nervelab.analysis.aggregates import Aggregates
from nervelab.analysis.labels import OPTIMISERS
from nervelab.analysis.tables.table import Column, Table
from nervelab.analysis.words import THIN, thousands
from nervelab.study.decisions import Analysis

_ID = "settings"
_LISTED = 3  # values that are named one by one


def _percent(share: float) -> str:
    return f"{100 * share:.3g}{THIN}%"


# What is said of an optimiser, beside its rate: those of these settings that it has.
_OF_OPTIMISER: dict[str, Callable[[Any], str]] = {
    "betas": lambda betas: f"betas {', '.join(f'{beta:g}' for beta in betas)}",
    "momentum": lambda momentum: f"momentum {momentum:g}",
    "mu": lambda mu: f"momentum {mu:g}",
    "nesterov": lambda nesterov: "Nesterov's form" if nesterov else "without Nesterov's form",
    "adjust_lr_fn": lambda name: f"steps scaled by shape ({name.replace('_', ' ')})",
    "rank_fraction": lambda fraction: f"rank {_percent(fraction)} of full",
    "weight_decay": lambda decay: f"weight decay {decay:g}",
}


def _optimiser(optimiser: dict[str, Any]) -> str:
    said = (say(optimiser[key]) for key, say in _OF_OPTIMISER.items() if key in optimiser)
    own = ", ".join((OPTIMISERS[optimiser["name"]], *said))
    return f"{own}; for all but hidden matrices {_optimiser(optimiser['rest'])}" if "rest" in optimiser else own


def _rate(optimiser: dict[str, Any]) -> str:
    own = f"{optimiser['lr']:g} ({OPTIMISERS[optimiser['name']]})"
    return f"{own} and {_rate(optimiser['rest'])}" if "rest" in optimiser else own


def _schedule(config: dict[str, Any]) -> str:
    training = config["training"]
    clip = f"clip {training['clip']:g}" if training["clip"] else "no clipping"
    decay = (
        "constant" if training["decay"] == "constant" else f"{training['decay']} to {_percent(training['final_lr'])}"
    )
    return f"{_percent(training['warmup'])} warm-up, {decay}; {clip}"


def _data(row: dict[str, Any], config: dict[str, Any]) -> str:
    stands_for = config["dataset"]["stands_for"]
    return f"{row['dataset']}{f', a stand-in for {stands_for}' if stands_for else ''}"


def _tokenizer(config: dict[str, Any]) -> str:
    tokenizer = config["tokenizer"]
    kind = "byte-level BPE trained on the training text" if tokenizer["kind"] != "hub" else tokenizer["name"]
    return f"{kind}, {thousands(tokenizer['vocabulary'])} entries"


def _measured_on(config: dict[str, Any]) -> str:
    measure = config["measure"]
    source = (
        f"a fixed held-out probe, {thousands(measure['tokens'])} tokens" if measure["tokens"] else "the training batch"
    )
    when = f"every {measure['every']} steps" if measure["every"] else f"{measure['points']} times, evenly spaced"
    early = f", and at {', '.join(map(str, measure['early']))}" if measure["early"] else ""
    return f"{source}; {when}{early}"


# By the keys of paper.yaml: how a run's row and RunConfig say it.
_HERE: dict[str, Callable[[dict[str, Any], dict[str, Any]], str]] = {
    "parameters": lambda row, config: thousands(row["parameters"]),
    "d_model": lambda row, config: str(config["model"]["d_model"]),
    "layers": lambda row, config: str(config["model"]["layers"]),
    "heads": lambda row, config: str(config["model"]["heads"]),
    "ffn_width": lambda row, config: (
        f"D = {config['model']['width_multiple']}d = {config['model']['width_multiple'] * config['model']['d_model']}"
    ),
    "context": lambda row, config: f"{config['model']['context']} tokens",
    "embedding_dropout": lambda row, config: f"{config['model']['embedding_dropout']:g}",
    "batch": lambda row, config: f"{config['training']['batch']} sequences",
    "steps": lambda row, config: thousands(config["training"]["steps"]),
    "tokens": lambda row, config: thousands(
        config["training"]["steps"] * config["training"]["batch"] * config["model"]["context"]
    ),
    "optimiser": lambda row, config: _optimiser(config["optimiser"]),
    "lr": lambda row, config: _rate(config["optimiser"]),
    "schedule": lambda row, config: _schedule(config),
    "precision": lambda row, config: config["training"]["precision"],
    "data": _data,
    "tokenizer": lambda row, config: _tokenizer(config),
    "measured_on": lambda row, config: _measured_on(config),
    "eval": lambda row, config: f"{thousands(config['training']['eval_tokens'])} held-out tokens",
}


def _build(aggregates: Aggregates, _: Analysis) -> pl.DataFrame:
    runs = [(row, json.loads(row["config"])) for row in aggregates.runs.iter_rows(named=True)]
    rows = [
        {
            "setting": printed["setting"],
            "paper": printed["paper"],
            "here": _together(dict.fromkeys(_HERE[printed["key"]](row, config) for row, config in runs)),
        }
        for printed in paper.rows(_ID)
    ]
    return pl.DataFrame(rows, schema=dict.fromkeys(("setting", "paper", "here"), pl.String))


def _together(values: Iterable[str]) -> str:
    """All values that runs have; of many, the first and the last in their natural order."""
    ordered = sorted(values, key=lambda value: (len(value), value))
    return " or ".join(ordered) if len(ordered) <= _LISTED else f"{ordered[0]} to {ordered[-1]}"


SETTINGS = Table(
    id=_ID,
    title="Settings, the paper's beside those here",
    caption=(
        f"Paper: {paper.source(_ID)}. Where runs differ, their values are listed, or the first and the last of "
        "many. What the runs are compared by (placement, activation, width) is in the list of runs."
    ),
    columns=(Column("setting", "setting"), Column("paper", "paper"), Column("here", "here")),
    build=_build,
)
