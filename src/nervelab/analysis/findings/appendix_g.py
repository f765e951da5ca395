"""NerVE, appendix G: what approximations of the spectrum keep."""

from __future__ import annotations

import numpy as np

from nervelab.aggregates.estimated import KEPT, Fidelity, fidelity
from nervelab.aggregates.find import Aggregates
from nervelab.aggregates.window import pairs_with_eval_loss
from nervelab.analysis.findings.finding import Effect, Finding, Rivals, above, below, between
from nervelab.paper.architectures import PRELN_GELU
from nervelab.statistics.blocks import MINIMUM, mean_interval
from nervelab.statistics.within_run import pearson, shift
from nervelab.words.labels import NOT_RUN, WINDOW, estimator_named
from nervelab.words.metrics import COLUMNS, heading
from nervelab.words.runs import named

SAMPLES = ("sampling-0.05", "sampling-0.10", "sampling-0.25", "sampling-0.50")
LOW_RANK = ("randsvd-1/6", "lanczos-1/6")
SQUARED = "randsvd-1/6-squared"
LOST = 0.3
"""By how much r must differ under an estimator that does not keep it."""


def _against_low_rank(aggregates: Aggregates) -> tuple[Effect, ...]:
    measured = fidelity(aggregates)
    effects = []
    for sample in SAMPLES:
        for other in (*LOW_RANK, SQUARED):
            known = {
                "of": f"{estimator_named(sample)} / {estimator_named(other)}",
                "quantity": "error against the full spectrum, geometric mean over metrics",
                "claim": None if other == SQUARED else below(1),
            }
            effects.append(_ratio(measured, sample, other, known, aggregates))
    return tuple(effects)


def _ratio(measured: Fidelity | None, one: str, other: str, known: dict, aggregates: Aggregates) -> Effect:
    if measured is None or not {one, other} <= measured.estimated.keys():
        return Effect(**known, state=NOT_RUN)
    known |= {"state": measured.full.state, "runs": (measured.full.row["name"],)}
    if measured.full.failed:
        return Effect(**known)
    logs = [[np.log(measured.errors(name, metric).mean(axis=1)) for metric in COLUMNS] for name in (one, other)]
    series_S = np.mean(np.subtract(*logs), axis=0)
    if not np.isfinite(series_S).all():
        return Effect(**known, note="an error of exactly 0, or an unmeasured cell")
    low, high = mean_interval(series_S, aggregates.confidence) or (None, None)
    ends = {end: None if value is None else float(np.exp(value)) for end, value in (("low", low), ("high", high))}
    return Effect(**known, value=float(np.exp(series_S.mean())), **ends)


def _diagnostic(aggregates: Aggregates) -> tuple[Effect, ...]:
    measured = fidelity(aggregates)
    wanted = {"pre": between(-KEPT, KEPT), "post": above(LOST)}
    effects = []
    for sample in SAMPLES:
        for metric in ("se_pre", "pr_pre", "se_post", "pr_post"):
            site = metric.partition("_")[2]
            known = {
                "of": f"{named(PRELN_GELU)}, {estimator_named(sample)}",
                "quantity": f"r of {heading(metric)} less that of the full spectrum",
                "claim": wanted[site],
            }
            effects.append(_shift(measured, sample, metric, known, aggregates))
    return tuple(effects)


def _shift(measured: Fidelity | None, sample: str, metric: str, known: dict, aggregates: Aggregates) -> Effect:
    if measured is None or sample not in measured.estimated:
        return Effect(**known, state=NOT_RUN)
    known |= {"state": measured.full.state, "runs": (measured.full.row["name"],)}
    full, estimated = (
        pairs_with_eval_loss(run, metric, whole=False) for run in (measured.full, measured.estimated[sample])
    )
    found = shift(full, estimated, aggregates.confidence, aggregates.draws)
    note = "" if found.value is None else f"{pearson(estimated):+.3f} against {pearson(full):+.3f}"
    return Effect(**known, value=found.value, low=found.low, high=found.high, note=note)


SAME = "No rival is held against it: estimators are compared on the same activations, whatever made them."

FIDELITY = (
    Finding(
        id="sampling-fidelity",
        section="G",
        claim="Sub-sampling tokens distorts the metrics less than truncating the spectrum at low rank.",
        rule=(
            "PreLN GELU, D = 4d, all estimators from the same activations: the error of a sample of 5, 10, 25 and "
            "50 % of the tokens over that of RandSVD and of Lanczos at rank D/6 (the paper's 512 of 3072; "
            "eigenvalues as they are, while the paper's RandSVD looks squared, which is shown beside it), as the "
            "geometric mean over the seven metrics, in each ratio averaged over the window's checkpoints (of "
            f"logarithms) with a circular block bootstrap's interval, for which it needs {MINIMUM} checkpoints. "
            f"{WINDOW}"
        ),
        effects=_against_low_rank,
        rivals=Rivals(SAME),
        caveat="One run, with the same tokens drawn at every checkpoint: errors of the draw do not average out.",
    ),
    Finding(
        id="sampling-diagnostic",
        section="G",
        claim="Sub-sampling keeps the correlation of pre-activation metrics with loss, not that of post-activation.",
        rule=(
            "PreLN GELU, D = 4d: Pearson's r over checkpoints under a sample of 5, 10, 25 and 50 % of the tokens "
            f"less r under the full spectrum. Kept: within ± {KEPT} for SE and PR before the nonlinearity. Not kept: "
            f"weaker (nearer to 0, so larger) by at least {LOST} after it. In the paper r of SE_post goes from −0.87 "
            f"to −0.34. {WINDOW} Intervals: a circular block bootstrap's over the window's checkpoints, both r "
            "resampled together, widened for few blocks."
        ),
        effects=_diagnostic,
        rivals=Rivals(SAME),
        caveat="One run, with the same tokens drawn at every checkpoint.",
    ),
)
