"""The experiments beside the GPT-2 core: what each variant reached and what its spectra look like after training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from nervelab.analysis import paper
from nervelab.analysis.aggregates import Aggregates, Run
from nervelab.analysis.models import outcome
from nervelab.analysis.quantities import final
from nervelab.analysis.tables.table import METRIC_COLUMNS, Column, Table
from nervelab.study.decisions import Analysis

_METRICS = tuple(column.name for column in METRIC_COLUMNS)
_NUMBERS = ("printed", "measured", "spread_over_seeds", "eval_loss", *_METRICS)
_SCHEMA = {"model": pl.String, "seeds": pl.Int64, **dict.fromkeys(_NUMBERS, pl.Float64), "state": pl.String}


def _row(aggregates: Aggregates, printed: dict[str, Any], quality: str) -> dict[str, Any]:
    runs = aggregates.find_seeds(**printed["settings"])
    state = outcome(runs)
    row = dict.fromkeys(_SCHEMA) | {"model": printed["label"], "printed": printed.get("printed"), "state": state}
    finished = [run for run in runs if not run.failed]
    return row | _measured(finished, quality) if finished else row


def _measured(runs: Sequence[Run], quality: str) -> dict[str, Any]:
    """Means over the seeds that finished; the perplexity is that of the mean loss."""
    losses = pl.Series([run.row["eval_loss"] for run in runs])
    if quality == "perplexity":
        spread, measured = losses.std(), losses.mean()
        measured = pl.Series([measured]).exp().item()
    else:
        accuracies = 100 * pl.Series([run.row["eval_accuracy"] for run in runs])
        spread, measured = accuracies.std(), accuracies.mean()
    metrics = {metric: pl.Series([final(run, metric).mean() for run in runs]).mean() for metric in _METRICS}
    known = {"seeds": len(runs), "measured": measured, "spread_over_seeds": spread, "eval_loss": losses.mean()}
    return known | metrics


def _table(id: str, title: str, quality: str = "perplexity", note: str = "", digits: int = 2) -> Table:
    def build(aggregates: Aggregates, _: Analysis) -> pl.DataFrame:
        return pl.DataFrame([_row(aggregates, printed, quality) for printed in paper.rows(id)], schema=_SCHEMA)

    spread = "of the final eval loss in nats" if quality == "perplexity" else "of the accuracy"
    unit = "" if quality == "perplexity" else " (%)"
    return Table(
        id=id,
        title=title,
        caption=(
            f"Paper: {paper.source(id)}. Measured: means over the seeds that finished, metrics after training averaged "
            f"over layers, the deviation over seeds {spread}. Below the paper scale models are small siblings of the "
            "paper's and data are stand-ins (tables of settings and of the other models): levels cannot be compared. "
            "A row of one seed is one training; differences here are not held against seed noise."
            f"{f' {note}' if note else ''}"
        ),
        columns=(
            Column("model", "model, or its sibling"),
            Column("printed", f"paper{unit}", digits=digits),
            Column("measured", f"{quality}{unit}", digits=2),
            Column("spread_over_seeds", "deviation over seeds", digits=3),
            Column("seeds", "seeds"),
            *METRIC_COLUMNS,
            Column("state", "outcome"),
        ),
        build=build,
    )


EXPERIMENTS = (
    _table(
        "ffn-weights",
        "Weight geometry of the FFN in norm-free models",
        note=(
            "Here over learnable leaky ReLU; the paper does not say over which activation. Weight norm per input: "
            "`make ONLY=left-open`."
        ),
        digits=3,
    ),
    _table("norm-kind", "RMSNorm beside LayerNorm", digits=3),
    _table("position-encoding", "RoPE against no positions"),
    _table(
        "table-13-optimisers",
        "Table 13: AdamW, Muon and Dion",
        note="With GELU: `make ONLY=left-open`; learning rates: `make ONLY=tune`.",
    ),
    _table("adafactor", "Adafactor beside AdamW", note="Adafactor is torch's, not Hugging Face's.", digits=3),
    _table("llama", "LLaMA at four sizes, by the placement of the norm"),
    _table(
        "table-12-mixer",
        "Table 12: MLP-Mixer, activation of the token-mixing and of the channel-mixing MLP",
        quality="accuracy",
        note="Spectra of the channel-mixing MLP over the whole training set.",
    ),
)
