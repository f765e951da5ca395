"""NerVE, section 3.1: the nonlinearity reinjects variance (SE, PR up) and flattens spectra (EEE down)."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from nervelab.analysis.aggregates import Aggregates, Run
from nervelab.analysis.bootstrap import MINIMUM, mean_interval
from nervelab.analysis.findings.finding import Effect, Finding, Verdict
from nervelab.analysis.labels import METRICS, NOT_RUN, UNITS, architecture
from nervelab.study.decisions import Analysis

BASELINES: tuple[dict[str, Any], ...] = (
    {"placement": "preln", "activation": "gelu"},
    {"placement": "preln", "activation": "relu"},
)


def post_minus_pre(run: Run, metric: str, sign: int, settings: Analysis) -> Effect:
    """The mean over layers and checkpoints of metric_post - metric_pre, with its interval over checkpoints.

    Args:
        run: the training.
        metric: "se", "pr" or "eee".
        sign: the claimed one, +1 or -1.
        settings: how the interval is drawn.
    """
    of, unit = architecture(run.row), UNITS[metric]
    undecided = Effect(of=of, state=run.state, unit=unit)
    if run.failed:
        return undecided
    pre_SL = run.grid(f"{metric}_pre").values_SL
    difference_SL = run.grid(f"{metric}_post").values_SL - pre_SL
    if not np.isfinite(difference_SL).all():
        return undecided
    checkpoints, layers = difference_SL.shape
    low, high = mean_interval(difference_SL.mean(axis=1), settings) or (None, None)
    return Effect(
        of=of,
        state=run.state,
        unit=unit,
        value=float(difference_SL.mean()),
        low=low,
        high=high,
        relative=float(difference_SL.mean() / pre_SL.mean()),
        agreeing=float((sign * difference_SL > 0).mean()),
        n=f"{checkpoints} checkpoints × {layers} layers",
    )


def verdict_of(effects: tuple[Effect, ...], sign: int) -> Verdict:
    """The rule that all findings of this module share (`_RULE`), on the effects of the named runs."""
    absent = [effect.of for effect in effects if effect.state == NOT_RUN]
    if absent:
        return Verdict("not run", f"{' and '.join(absent)}: {NOT_RUN}", effects)
    undecided = [effect for effect in effects if effect.low is None or effect.high is None]
    if undecided:
        reason = "; ".join(f"{effect.of} {_why_undecided(effect)}" for effect in undecided)
        return Verdict("inconclusive", reason, effects)
    ends = [sorted((sign * effect.low, sign * effect.high)) for effect in effects]
    if all(low > 0 for low, _ in ends):
        return Verdict("supported", "every interval lies on the claimed side of 0", effects)
    if all(high < 0 for _, high in ends):
        return Verdict("contradicted", "every interval lies on the other side of 0", effects)
    return Verdict("inconclusive", "an interval holds 0, or the named runs disagree", effects)


def _why_undecided(effect: Effect) -> str:
    if effect.state != "finished":
        return effect.state
    return "has an unmeasured cell" if effect.value is None else f"has fewer than {MINIMUM} checkpoints"


def _decide(aggregates: Aggregates, settings: Analysis, *, metric: str, sign: int) -> Verdict:
    effects = []
    for baseline in BASELINES:
        run = aggregates.find(**baseline)
        if run is None:
            effects.append(Effect(of=architecture(baseline), state=NOT_RUN, unit=UNITS[metric]))
        else:
            effects.append(post_minus_pre(run, metric, sign, settings))
    return verdict_of(tuple(effects), sign)


_RULE = (
    "Effect: post minus pre of the {metric}, averaged over layers at each measured step, then over all "
    "measured steps, in the PreLN GELU and the PreLN ReLU run (D = 4d, AdamW). Its interval comes from a "
    "circular block bootstrap over the measured steps, widened for the small number of blocks; layers are "
    "not resampled. Supported if the interval lies {claimed} 0 in both runs, contradicted if {other} 0 in "
    "both, otherwise inconclusive. A run that diverged or got stuck decides nothing, nor does one with "
    "fewer than {minimum} measured steps: the verdict is then inconclusive. Not run if one of the two runs "
    "is absent. The share of single cells (layer, step) with the claimed sign is reported and decides "
    "nothing."
)
_CAVEAT = (
    "The pre-activation is a linear map of d inputs into D dimensions, so its rank is at most d: part of "
    "the difference follows from that bound alone, before anything is learned. One seed a run: the interval "
    "covers the checkpoints of that run, not other seeds."
)


def _finding(*, name: str, metric: str, sign: int, claim: str) -> Finding:
    claimed, other = ("above", "below") if sign > 0 else ("below", "above")
    return Finding(
        id=name,
        section="3.1",
        claim=claim,
        rule=_RULE.format(metric=METRICS[metric], claimed=claimed, other=other, minimum=MINIMUM),
        caveat=_CAVEAT,
        decide=partial(_decide, metric=metric, sign=sign),
    )


REINJECTION = (
    _finding(
        name="reinjection-se",
        metric="se",
        sign=1,
        claim="The FFN nonlinearity raises spectral entropy.",
    ),
    _finding(
        name="reinjection-pr",
        metric="pr",
        sign=1,
        claim="The FFN nonlinearity raises the participation ratio.",
    ),
    _finding(
        name="flattening-eee",
        metric="eee",
        sign=-1,
        claim="The FFN nonlinearity makes the spectrum less top-heavy (lower eigenvalue early enrichment).",
    ),
)
