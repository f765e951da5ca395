"""Table 2: perplexity of the baselines, of the placements and of the norm-free models."""

from __future__ import annotations

import math
from itertools import combinations
from typing import Any

import polars as pl

from nervelab.analysis import paper
from nervelab.analysis.aggregates import Aggregates, Run
from nervelab.analysis.models import outcome
from nervelab.analysis.noise import contrast, seed_noise
from nervelab.analysis.quantities import EVAL_LOSS
from nervelab.analysis.tables.table import Column, Table
from nervelab.study.decisions import Analysis

_ID = "table-02-perplexity"
_SCHEMA = {
    "architecture": pl.String,
    "paper_perplexity": pl.Float64,
    "measured_perplexity": pl.Float64,
    "eval_loss": pl.Float64,
    "spread_over_seeds": pl.Float64,
    "seeds": pl.Int64,
    "state": pl.String,
    "paper_rank": pl.Int64,
    "measured_rank": pl.Int64,
    "worse_than": pl.String,
    "level_with": pl.String,
    "better_than": pl.String,
}


def _build(aggregates: Aggregates, settings: Analysis) -> pl.DataFrame:
    runs = {printed["label"]: aggregates.find_seeds(**printed["settings"]) for printed in paper.rows(_ID)}
    rows = {printed["label"]: _row(printed, runs[printed["label"]]) for printed in paper.rows(_ID)}
    compared = [label for label, row in rows.items() if row["eval_loss"] is not None]
    noise = seed_noise(aggregates, EVAL_LOSS, settings)
    order: dict[str, dict[str, list[str]]] = {label: {"worse": [], "level": [], "better": []} for label in compared}
    for one, other in combinations(compared, 2):
        difference = contrast(runs[one], runs[other], EVAL_LOSS, noise, settings)
        # Without a second seed there is no noise to hold a difference against: every one counts.
        low, high = (difference.value if end is None else end for end in (difference.low, difference.high))
        word = "worse" if low > 0 else "better" if high < 0 else "level"
        order[one][word].append(other)
        order[other][{"worse": "better", "better": "worse", "level": "level"}[word]].append(one)
    for label in compared:
        row, printed = rows[label], rows[label]["paper_perplexity"]
        row["paper_rank"] = 1 + sum(rows[other]["paper_perplexity"] < printed for other in compared)
        row["measured_rank"] = 1 + len(order[label]["worse"])
        row |= {
            f"{word}_{'with' if word == 'level' else 'than'}": "; ".join(each) for word, each in order[label].items()
        }
    return pl.DataFrame(list(rows.values()), schema=_SCHEMA)


def _row(printed: dict[str, Any], runs: tuple[Run, ...]) -> dict[str, Any]:
    row = dict.fromkeys(_SCHEMA) | {"architecture": printed["label"], "paper_perplexity": printed["perplexity"]}
    state = outcome(runs)
    # The last loss of a failed run is not the quality of its architecture.
    if state != "finished":
        return row | {"state": state}
    losses = pl.Series([run.row["eval_loss"] for run in runs])
    measured = {"measured_perplexity": math.exp(losses.mean()), "eval_loss": losses.mean(), "seeds": len(losses)}
    return row | measured | {"spread_over_seeds": losses.std() if len(losses) > 1 else None, "state": state}


def _remark(frame: pl.DataFrame) -> str:
    """Which of the paper's pairwise orders the measured losses keep, leave open and invert."""
    rows = frame.filter(pl.col("eval_loss").is_not_null()).sort("paper_perplexity").to_dicts()
    pairs = list(combinations(rows, 2))
    if not pairs:
        return ""
    words = {key: [] for key in ("better_than", "level_with", "worse_than")}
    for better, worse in pairs:
        key = next(key for key in words if worse["architecture"] in (better[key] or "").split("; "))
        words[key].append(f"{worse['architecture']} below {better['architecture']}")
    inverted = words["worse_than"]
    return (
        f"Of the paper's {len(pairs)} pairwise orders: {len(words['better_than'])} found here, "
        f"{len(words['level_with'])} level within seed noise, {len(inverted)} inverted"
        f"{': ' + '; '.join(inverted) if inverted else ''}."
    )


PERPLEXITY = Table(
    id=_ID,
    title="Table 2: perplexity, the paper's beside the measured",
    caption=(
        f"Paper: {paper.source(_ID)}. Measured: exp of the final eval loss (nats per token, over {{eval_tokens}} "
        "held-out tokens, mean over seeds). Data, tokenizer and size differ, so the levels cannot be compared. Two "
        "models are level if the {confidence} interval of their difference by seed noise (table Seed noise) holds "
        "0; a rank is 1 plus the number of better models, among the rows that have both numbers."
    ),
    columns=(
        Column("architecture", "model"),
        Column("paper_perplexity", "paper", digits=3),
        Column("measured_perplexity", "measured", digits=2),
        Column("paper_rank", "rank, paper"),
        Column("measured_rank", "rank, measured"),
        Column("eval_loss", "final eval loss", digits=3),
        Column("spread_over_seeds", "deviation over seeds", digits=3),
        Column("seeds", "seeds"),
        Column("state", "outcome"),
    ),
    build=_build,
    remark=_remark,
)
