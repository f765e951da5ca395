"""Tables 8 and 9: how far each estimator is from the full spectrum, and whether it keeps the correlation with loss."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import polars as pl

from nervelab.aggregates.estimated import KEPT, fidelity
from nervelab.aggregates.find import Aggregates
from nervelab.aggregates.run import FULL, Run, names
from nervelab.aggregates.window import pearson_over_checkpoints
from nervelab.analysis.tables.table import RUNS, RUNS_TYPE, Column, Table
from nervelab.paper import printed as paper
from nervelab.words.labels import NOT_RUN, WINDOW, estimator_named
from nervelab.words.metrics import COLUMNS, heading
from nervelab.words.numbers import as_printed

ERRORS_ID = "table-08-estimator-errors"
CORRELATIONS_ID = "table-09-estimator-correlations"
_KEYS = dict.fromkeys(("estimator", "words", "metric", "state"), pl.String) | {RUNS: RUNS_TYPE}


def _errors(aggregates: Aggregates) -> pl.DataFrame:
    schema = {**_KEYS, **dict.fromkeys(("paper_percent", "percent", "worst_percent", "bias_percent"), pl.Float64)}
    return pl.DataFrame(list(_error_rows(aggregates)), schema=schema)


def _error_rows(aggregates: Aggregates) -> Iterator[dict[str, Any]]:
    measured = fidelity(aggregates)
    printed = {row["estimator"]: row["percent"] for row in paper.rows(ERRORS_ID)}
    names = list(measured.estimated) if measured else list(printed)
    for name in names:
        for metric in COLUMNS:
            row = _keys(name, metric, None if measured is None else measured.full)
            row["paper_percent"] = printed.get(name, {}).get(metric)
            if measured is not None and measured.comparable:
                errors_SL = 100 * measured.errors(name, metric)
                row |= {"percent": errors_SL.mean(), "worst_percent": errors_SL.max()}
                row["bias_percent"] = 100 * measured.signed(name, metric).mean()
            yield row


def _correlations(aggregates: Aggregates) -> pl.DataFrame:
    schema = {**_KEYS, **dict.fromkeys(("paper_pearson", "pearson", "full_pearson"), pl.Float64)}
    return pl.DataFrame(list(_correlation_rows(aggregates)), schema=schema)


def _correlation_rows(aggregates: Aggregates) -> Iterator[dict[str, Any]]:
    measured = fidelity(aggregates)
    printed = {row["estimator"]: row["r"] for row in paper.rows(CORRELATIONS_ID)}
    runs = {FULL: measured.full, **measured.estimated} if measured else dict.fromkeys(printed)
    for name, run in runs.items():
        for metric in COLUMNS:
            row = _keys(name, metric, run) | {"paper_pearson": printed.get(name, {}).get(metric)}
            if run is not None:
                row["pearson"] = pearson_over_checkpoints(run, metric)
                row["full_pearson"] = pearson_over_checkpoints(measured.full, metric)
            yield row


def _keys(estimator: str, metric: str, run: Run | None) -> dict[str, Any]:
    state = NOT_RUN if run is None else run.state
    keys = {"estimator": estimator, "words": estimator_named(estimator), "metric": metric, "state": state}
    return keys | {RUNS: names([run])}


def _kept(frame: pl.DataFrame) -> str:
    """Which estimators keep every correlation of SE, PR and EEE, and which lose one; the paper has none of JS."""
    known = frame.filter(pl.col("pearson").is_not_null(), pl.col("estimator") != FULL, pl.col("metric") != "js")
    if known.is_empty():
        return "; ".join(frame["state"].unique(maintain_order=True))
    shifted = known.with_columns(shift=(pl.col("pearson") - pl.col("full_pearson")).abs())
    worst = shifted.sort("shift", descending=True, maintain_order=True).unique(
        "words", keep="first", maintain_order=True
    )
    parts = (worst.filter(pl.col("shift") <= KEPT).reverse(), worst.filter(pl.col("shift") > KEPT).reverse())
    listed = ("; ".join(_shift_in_words(row) for row in part.iter_rows(named=True)) for part in parts)
    return "Largest shift of r, JS left aside. Within {}: {}. Beyond: {}.".format(
        KEPT, *(each or "none" for each in listed)
    )


def _shift_in_words(row: dict[str, Any]) -> str:
    return f"{row['words']} ({row['shift']:.3f}, {heading(row['metric'])})"


def _advice(frame: pl.DataFrame) -> str:
    """Which estimator to use when, with the worst errors seen here."""
    known = frame.filter(pl.col("worst_percent").is_not_null())
    if known.is_empty():
        return "; ".join(frame["state"].unique(maintain_order=True))
    state = known["state"][0]
    stuck = (
        ""
        if state == "finished"
        else f"The run is {state}: these are the spectra of a network that has learned little. "
    )
    return stuck + (
        "Which to use: the full spectrum wherever it is affordable, and for every number that models are compared "
        f"by; where D is in the thousands BKQ ({_worst(known, 'bkq')}) or a truncated spectrum with its tail "
        f"({_worst(known, 'randsvd|lanczos', ending='tail')}); samples of the tokens ({_worst(known, 'sampling')}) "
        "where activations are too many to read, comparing PR only at equal numbers of tokens and JS not at all; a "
        "truncated spectrum without its tail, or a squared one, for nothing. In brackets: the largest error of any "
        "layer and checkpoint."
    )


def _worst(known: pl.DataFrame, kinds: str, ending: str = "") -> str:
    """The largest single error of some estimators, of SE, PR and EEE and of JS."""
    mine = known.filter(pl.col("estimator").str.contains(f"^({kinds}).*{ending}$"))
    if mine.is_empty():
        return "not measured here"
    largest = [mine.filter((pl.col("metric") == "js") == js)["worst_percent"].max() for js in (False, True)]
    return "{:.2g} % in SE, PR and EEE, {:.2g} % in JS".format(*largest)


def _by_metric(measured: str, digits: int, *, signed: bool) -> Callable[[pl.DataFrame], pl.DataFrame]:
    """Metrics side by side, for each estimator a line of the paper's numbers, if any, and one of the measured."""

    def arrange(frame: pl.DataFrame) -> pl.DataFrame:
        rows: dict[tuple[str, str], dict[str, Any]] = {}
        for row in frame.iter_rows(named=True):
            for column, words in ((f"paper_{measured}", "paper"), (measured, "measured")):
                line = rows.setdefault((row["words"], words), {"words": row["words"], "line": words})
                line[row["metric"]] = as_printed(row[column], None if words == "paper" else digits, signed=signed)
        kept = [row for row in rows.values() if any(row[metric] is not None for metric in COLUMNS)]
        return pl.DataFrame(kept, schema=dict.fromkeys(("words", "line", *COLUMNS), pl.String))

    return arrange


_COLUMNS = (Column("words", "estimator"), Column("line", "number"), *(Column(each, heading(each)) for each in COLUMNS))

TABLE_8 = Table(
    id=ERRORS_ID,
    title="Table 8: how far each estimator is from the full spectrum, in per cent",
    caption=(
        f"Paper: {paper.source(ERRORS_ID)}. Measured: PreLN GELU, D = 4d, all estimators from the same activations; "
        "|estimate − full| / |full|, mean over layers and the window's checkpoints. The file has the worst single "
        f"error and the mean with its sign as well. {WINDOW} Ranks are shares of D: 1/12 and 1/6 are the paper's 256 "
        "and 512 of 3072. How the paper averages is not stated; its RandSVD columns look like squared eigenvalues, "
        "which is shown beside it. A tail, Richardson's extrapolation, the unbiased PR and block Krylov quadrature "
        "(BKQ) are not in the paper."
    ),
    columns=_COLUMNS,
    build=_errors,
    remark=_advice,
    arrange=_by_metric("percent", 2, signed=False),
)

TABLE_9 = Table(
    id=CORRELATIONS_ID,
    title="Table 9: Pearson's r with eval loss over checkpoints, under each estimator",
    caption=(
        f"Paper: {paper.source(CORRELATIONS_ID)}. Measured: the mean over layers against the probe eval loss at the "
        f"same step, PreLN GELU, D = 4d. {WINDOW} An estimator keeps the diagnostic if its r is that of the full "
        "spectrum, the first line."
    ),
    columns=_COLUMNS,
    build=_correlations,
    remark=_kept,
    arrange=_by_metric("pearson", 3, signed=True),
)
