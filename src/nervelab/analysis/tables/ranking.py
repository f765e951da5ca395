"""Which of two models is the better one, pair by pair, and how that agrees with the paper."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from statistics import fmean

import polars as pl
from scipy.stats import norm

from nervelab.aggregates.run import Run
from nervelab.analysis.compare import Noise, contrast
from nervelab.analysis.quantities import EVAL_LOSS
from nervelab.statistics.estimate import Estimate

COLUMNS = ("worse_than", "level_with", "better_than")
"""Of a table in which models are compared: the labels of the other models, joined by "; "."""

_CONVERSE = {"worse_than": "better_than", "level_with": "level_with", "better_than": "worse_than"}

# The first less the second, in a measure of which less is better.
Difference = Callable[[Sequence[Run], Sequence[Run]], Estimate]


def by_loss(noise: Noise | None) -> Difference:
    """By mean final eval loss over seeds, with its interval by seed noise; without noise every difference counts."""
    return lambda runs, others: contrast(runs, others, EVAL_LOSS, noise)


def by_errors(confidence: float) -> Difference:
    """By the share of images that each gets wrong, the mean over seeds, as a difference of two binomials.

    All models see the same images, so the interval is wider than it need be; it knows nothing of seeds. Where the
    number of images is not among the settings of the data, nothing is known of the difference: any order is open.
    """

    def difference(runs: Sequence[Run], others: Sequence[Run]) -> Estimate:
        shares = [1 - fmean(run.row["eval_accuracy"] for run in of) for of in (runs, others)]
        images = runs[0].config["dataset"].get("validation_images")
        value = shares[0] - shares[1]
        if images is None:
            return Estimate(value, -math.inf, math.inf)
        deviation = math.sqrt(sum(share * (1 - share) for share in shares) / images)
        half = float(norm.ppf((1 + confidence) / 2)) * deviation
        return Estimate(value, value - half, value + half)

    return difference


def compared(models: Mapping[str, Sequence[Run]], difference: Difference) -> dict[str, dict[str, str]]:
    """`COLUMNS` for each of the models, given by label and runs."""
    found: dict[str, dict[str, list[str]]] = {label: {column: [] for column in COLUMNS} for label in models}
    for one, other in combinations(models, 2):
        estimate = difference(models[one], models[other])
        if estimate.value is None:  # one of them has no number
            continue
        low, high = (estimate.value if end is None else end for end in (estimate.low, estimate.high))
        column = "worse_than" if low > 0 else "better_than" if high < 0 else "level_with"
        found[one][column].append(other)
        found[other][_CONVERSE[column]].append(one)
    return {label: {column: "; ".join(others) for column, others in row.items()} for label, row in found.items()}


def agreement(frame: pl.DataFrame, *, printed: str, label: str = "model", more_is_better: bool = False) -> str:
    """Which of the paper's pairwise orders are found, left open and inverted; then what is found of other pairs.

    Args:
        frame: a row a model, with `COLUMNS`, null where the model was not compared.
        printed: the column of the paper's number; null where it prints none.
        label: the column of the labels.
        more_is_better: of the paper's numbers.
    """
    rows = frame.filter(pl.any_horizontal(pl.col(COLUMNS).is_not_null())).to_dicts()
    paper, other = {column: [] for column in COLUMNS}, {column: [] for column in COLUMNS}
    for one, against in combinations(rows, 2):
        known = one[printed] is not None and against[printed] is not None
        pair = (one, against)
        if known:
            pair = sorted(pair, key=lambda row: row[printed], reverse=more_is_better)
        first, second = pair
        column = next((column for column in COLUMNS if second[label] in (first[column] or "").split("; ")), None)
        if column is None:  # of different groups
            continue
        better, worse = pair if column == "better_than" else pair[::-1]
        (paper if known else other)[column].append(f"{better[label]} better than {worse[label]}")
    return " ".join(filter(None, (_of_the_paper(paper), _of_others(other))))


def _of_the_paper(pairs: dict[str, list[str]]) -> str:
    total = sum(map(len, pairs.values()))
    if not total:
        return ""
    inverted = f" (here {'; '.join(pairs['worse_than'])})" if pairs["worse_than"] else ""
    orders = "The paper orders one pair" if total == 1 else f"The paper orders {total} pairs"
    return (
        f"{orders}: {len(pairs['better_than'])} found here, "
        f"{len(pairs['level_with'])} level within noise, {len(pairs['worse_than'])} inverted{inverted}."
    )


def _of_others(pairs: dict[str, list[str]]) -> str:
    total = sum(map(len, pairs.values()))
    if not total:
        return ""
    apart = [*pairs["better_than"], *pairs["worse_than"]]
    words = f"; {'; '.join(apart)}" if apart else ""
    others = "one pair" if total == 1 else f"{total} pairs"
    return f"Of {others} of which it does not print both numbers: {len(pairs['level_with'])} level{words}."
