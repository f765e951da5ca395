"""The experiments beside the GPT-2 core: what each variant reached and what its spectra look like after training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from nervelab.aggregates.find import SHORT_RECIPE, Aggregates
from nervelab.aggregates.run import Run, names
from nervelab.aggregates.window import final, mean_ratio
from nervelab.analysis.compare import seed_noise_everywhere
from nervelab.analysis.quantities import EVAL_LOSS
from nervelab.analysis.tables.ranking import COLUMNS, Difference, agreement, by_errors, by_loss, compared
from nervelab.analysis.tables.table import METRIC_COLUMNS, RUNS, RUNS_TYPE, Column, Table
from nervelab.paper import printed as paper
from nervelab.statistics.exponential import perplexity
from nervelab.words.runs import outcome

_METRICS = tuple(column.name for column in METRIC_COLUMNS)
_NUMBERS = ("printed", "measured", "spread_over_seeds", "eval_loss", *_METRICS)
_SCHEMA = {
    "model": pl.String,
    **dict.fromkeys(("parameters", "seeds"), pl.Int64),
    **dict.fromkeys(_NUMBERS, pl.Float64),
    "state": pl.String,
    **dict.fromkeys(COLUMNS, pl.String),
    RUNS: RUNS_TYPE,
}


def _row(runs: tuple[Run, ...], printed: dict[str, Any], quality: str) -> dict[str, Any]:
    state = outcome(runs) if runs or "on_request" not in printed else f"on request: make ONLY={printed['on_request']}"
    row = dict.fromkeys(_SCHEMA) | {"model": printed["label"], "printed": printed.get("printed"), "state": state}
    row[RUNS] = names(runs)
    finished = [run for run in runs if not run.failed]
    return row | _measured(finished, quality) if finished else row


def _measured(runs: Sequence[Run], quality: str) -> dict[str, Any]:
    """Means over the seeds that finished; the perplexity is that of the mean loss."""
    losses = pl.Series([run.row["eval_loss"] for run in runs])
    if quality == "perplexity":
        spread, measured = losses.std(), perplexity(losses.mean())
    else:
        accuracies = 100 * pl.Series([run.row["eval_accuracy"] for run in runs])
        spread, measured = accuracies.std(), accuracies.mean()
    metrics = {metric: _mean([final(run, metric) for run in runs], metric) for metric in _METRICS}
    known = {"parameters": runs[0].row["parameters"], "seeds": len(runs)}
    known |= {"measured": measured, "spread_over_seeds": spread, "eval_loss": losses.mean()}
    return known | metrics


def _mean(values: Sequence[np.ndarray], metric: str) -> float:
    """Over layers and seeds; of the gain, a ratio, the geometric mean."""
    every = np.concatenate(values)
    return float(mean_ratio(every) if metric == "pr_gain" else every.mean())


def _compared(
    rows: Sequence[dict[str, Any]], models: Sequence[tuple[Run, ...]], within: tuple[str, ...], difference: Difference
) -> dict[str, dict[str, str]]:
    """`COLUMNS` of the models of which all runs finished, within the groups that share the settings `within`."""
    groups: dict[tuple[Any, ...], dict[str, tuple[Run, ...]]] = {}
    for row, runs in zip(rows, models, strict=True):
        if row["state"] == "finished":
            groups.setdefault(tuple(runs[0].row[key] for key in within), {})[row["model"]] = runs
    return {label: order for group in groups.values() for label, order in compared(group, difference).items()}


_LEVEL = {
    "perplexity": (
        "Two models are level if the {confidence} interval of their difference in final eval loss by seed noise holds "
        "0; what seeds do is known here from every model of any base that was trained on several (last line of the "
        "table Seed noise), also for those of one seed."
    ),
    "accuracy": (
        "Two models are level if 0 lies in the {confidence} interval of their difference as that of two independent "
        "shares of the held-out images, each the mean over the model's seeds (wider than need be, as the images are "
        "the same); what seeds do comes on top of it."
    ),
}


def _table(
    id: str,
    title: str,
    *,
    sections: tuple[str, ...],
    quality: str = "perplexity",
    within: tuple[str, ...] = (),
    note: str = "",
    digits: int = 2,
) -> Table:
    def build(aggregates: Aggregates) -> pl.DataFrame:
        models = [aggregates.find_seeds(**SHORT_RECIPE | printed["settings"]) for printed in paper.rows(id)]
        rows = [_row(runs, printed, quality) for runs, printed in zip(models, paper.rows(id), strict=True)]
        noise = seed_noise_everywhere(aggregates, EVAL_LOSS)
        difference = by_loss(noise) if quality == "perplexity" else by_errors(aggregates.confidence)
        order = _compared(rows, models, within, difference)
        return pl.DataFrame([row | order.get(row["model"], {}) for row in rows], schema=_SCHEMA)

    spread = "of the final eval loss in nats" if quality == "perplexity" else "of the accuracy"
    unit = "" if quality == "perplexity" else " (%)"
    return Table(
        id=id,
        title=title,
        caption=(
            f"Paper: {paper.source(id)}. Measured: means over the seeds that finished, metrics after training averaged "
            "over layers (PR gain: the geometric mean of the layers' PR_post / PR_pre), the deviation over seeds "
            f"{spread}. "
            "Below the paper scale models are small siblings of the paper's and data are stand-ins (tables of settings "
            f"and of the other models): levels cannot be compared. {_LEVEL[quality]}{f' {note}' if note else ''}"
        ),
        columns=(
            Column("model", "model, or its sibling"),
            Column("parameters", "parameters", grouped=True),
            Column("printed", f"paper{unit}", digits=digits),
            Column("measured", f"{quality}{unit}", digits=2),
            Column("spread_over_seeds", "deviation over seeds", digits=3),
            Column("seeds", "seeds"),
            *METRIC_COLUMNS,
            Column("state", "outcome"),
        ),
        build=build,
        remark=lambda frame: agreement(frame, printed="printed", more_is_better=quality == "accuracy"),
        across=COLUMNS,
        undecided=sections,
    )


_NO_SIZES = "Siblings keep the order of the paper's sizes, not the sizes or their ratios: compare within a size only."

TABLE_12 = _table(
    "table-12-mixer",
    "Table 12 (I, K.2, L.3): MLP-Mixer, activation of the token-mixing and of the channel-mixing MLP",
    sections=("I", "K.2", "L.3"),
    quality="accuracy",
    note="Spectra of the channel-mixing MLP over the whole training set, without augmentation.",
)
TABLE_13 = _table(
    "table-13-optimisers",
    "Table 13 (3.7, L.1): AdamW, Muon and Dion",
    sections=("3.7", "L.1"),
    within=("base", "activation"),
    note=(
        "Squared ReLU, RMSNorm without weights, QK-norm, RoPE and an untied head, as in the code that the paper "
        "follows. At laptop scale rates are the best of `make ONLY=tune` for the 160M model, by the final eval loss of "
        "seed 0, that of the rest beside Muon and Dion among them, and used at every size. At paper scale they are "
        f"those of that code, and AdamW's, which is not printed, is still to be swept. {_NO_SIZES}"
    ),
)
EXPERIMENTS = (
    _table(
        "ffn-weights",
        "Section 3.3: weight geometry of the FFN in norm-free models",
        sections=("3.3",),
        note="Here over learnable leaky ReLU; the paper does not say over which activation.",
        digits=3,
    ),
    _table(
        "position-encoding",
        "Section 3.6: RoPE against no positions",
        sections=("3.6", "C.3"),
        note="SwiGLU, RMSNorm and an untied head, as in the code that the paper follows.",
    ),
    _table(
        "llama",
        "Appendix C: LLaMA at four sizes, by the placement of the norm",
        sections=("C.1 (LLaMA)", "C.2"),
        within=("base",),
        note=_NO_SIZES,
    ),
    _table(
        "norm-kind",
        "Appendix K.1: RMSNorm beside LayerNorm",
        sections=("K.1",),
        within=("placement", "activation"),
        digits=3,
    ),
    _table(
        "adafactor",
        "Appendix L.2: Adafactor beside AdamW",
        sections=("L.2",),
        within=("placement", "activation"),
        note=(
            "Adafactor is torch's, not Hugging Face's. More than the optimiser differs: its steps are relative to the "
            "size of a tensor, and it decays no weights where AdamW decays by 0.1; its rates are, at laptop scale, the "
            "best of `make ONLY=tune` for PreLN GELU and for norm-free GELU, and used for ReLU too."
        ),
        digits=3,
    ),
)
