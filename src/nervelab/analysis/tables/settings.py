"""What was trained and measured here, beside the paper's."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import polars as pl

from nervelab.aggregates.find import Aggregates
from nervelab.aggregates.run import names
from nervelab.analysis.tables.table import RUNS, RUNS_TYPE, Column, Table
from nervelab.paper import printed as paper
from nervelab.words.labels import OPTIMISERS
from nervelab.words.numbers import THIN, thousands

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


def optimiser_in_words(optimiser: dict[str, Any]) -> str:
    """An optimiser with its settings but the rate, and that of what is no hidden matrix where there are two."""
    said = (say(optimiser[key]) for key, say in _OF_OPTIMISER.items() if key in optimiser)
    own = ", ".join((OPTIMISERS[optimiser["name"]], *said))
    return f"{own}; for all but hidden matrices {optimiser_in_words(optimiser['rest'])}" if "rest" in optimiser else own


def rate_in_words(optimiser: dict[str, Any]) -> str:
    """Its peak learning rate, or all of them."""
    of_head = optimiser.get("head_lr")
    said = "its rate / √d" if of_head == "by-width" else of_head and f"{of_head:g}"
    head = f" (head {said})" if said else ""
    own = f"{OPTIMISERS[optimiser['name']]} {optimiser['lr']:g}{head}"
    return f"{own}, the rest by {rate_in_words(optimiser['rest'])}" if "rest" in optimiser else own


def schedule_in_words(config: dict[str, Any]) -> str:
    """Warm-up, decay and clipping."""
    training = config["training"]
    clip = f"clip {training['clip']:g}" if training["clip"] else "no clipping"
    decay = (
        "constant" if training["decay"] == "constant" else f"{training['decay']} to {_percent(training['final_lr'])}"
    )
    late = f" in the last {_percent(training['decay_share'])}" if training["decay_share"] < 1 else ""
    return f"{_percent(training['warmup'])} warm-up, {decay}{late}; {clip}"


def data_in_words(row: dict[str, Any], config: dict[str, Any]) -> str:
    """The data set, and whose place it takes."""
    stands_for = config["dataset"]["stands_for"]
    return f"{row['dataset']}{f', a stand-in for {stands_for}' if stands_for else ''}"


def _tokenizer(config: dict[str, Any]) -> str:
    tokenizer = config["tokenizer"]
    kinds = {
        "byte-level-bpe": lambda: "byte-level BPE trained on the training text",
        "packaged-bpe": lambda: f"byte-level BPE of {tokenizer['package']['name']}",
        "hub": lambda: tokenizer["name"],
    }
    kind = kinds[tokenizer["kind"]]()
    return f"{kind}, {thousands(tokenizer['vocabulary'])} entries"


def _ffn_width(model: dict[str, Any]) -> str:
    if model["width_multiple"]:
        return f"D = {model['width_multiple']}d = {model['width_multiple'] * model['d_model']}"
    return f"D = {model['ffn_width']}"


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
    "ffn_width": lambda row, config: _ffn_width(config["model"]),
    "context": lambda row, config: f"{config['model']['context']} tokens",
    "embedding_dropout": lambda row, config: f"{config['model']['embedding_dropout']:g}",
    "batch": lambda row, config: f"{config['training']['batch']} sequences",
    "steps": lambda row, config: thousands(config["training"]["steps"]),
    "tokens": lambda row, config: thousands(
        config["training"]["steps"] * config["training"]["batch"] * config["model"]["context"]
    ),
    "optimiser": lambda row, config: optimiser_in_words(config["optimiser"]),
    "lr": lambda row, config: rate_in_words(config["optimiser"]),
    "schedule": lambda row, config: schedule_in_words(config),
    "precision": lambda row, config: config["training"]["precision"],
    "data": data_in_words,
    "tokenizer": lambda row, config: _tokenizer(config),
    "measured_on": lambda row, config: _measured_on(config),
    "eval": lambda row, config: f"{thousands(config['training']['eval_tokens'])} held-out tokens",
}


def _build(aggregates: Aggregates) -> pl.DataFrame:
    siblings = aggregates.siblings()
    runs = [(run.row, run.config) for run in siblings]
    rows = [
        {
            "setting": printed["setting"],
            "paper": printed["paper"],
            "here": together(dict.fromkeys(_HERE[printed["key"]](row, config) for row, config in runs)),
            RUNS: names(siblings),
        }
        for printed in paper.rows(_ID)
    ]
    return pl.DataFrame(rows, schema=dict.fromkeys(("setting", "paper", "here"), pl.String) | {RUNS: RUNS_TYPE})


def together(values: Iterable[str], between: str = " or ") -> str:
    """All values that runs have, with `between` between them; of many, the first and the last in their order."""
    ordered = sorted(set(values), key=lambda value: (len(value), value))
    return between.join(ordered) if len(ordered) <= _LISTED else f"{ordered[0]} to {ordered[-1]}"


SETTINGS = Table(
    id=_ID,
    title="Settings, the paper's beside those here",
    caption=(
        f"Paper: {paper.source(_ID)}. Here: the runs over the base gpt2-codeparrot. Where "
        "they differ, their values are listed, or the first and the last of "
        "many. What the runs are compared by (placement, activation, width) is in the list of runs."
    ),
    columns=(Column("setting", "setting"), Column("paper", "paper"), Column("here", "here")),
    build=_build,
)
