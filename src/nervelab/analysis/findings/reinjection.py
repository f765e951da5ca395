"""NerVE, section 3.1: the nonlinearity reinjects variance (SE, PR up) and flattens spectra (EEE down)."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from nervelab.analysis.aggregates import SEEDS, Aggregates, Run
from nervelab.analysis.bootstrap import MINIMUM, mean_interval
from nervelab.analysis.correlations import window_start_step
from nervelab.analysis.findings.finding import Effect, Finding, Rule, Verdict
from nervelab.analysis.labels import METRICS, NOT_RUN, UNITS, WINDOW, architecture
from nervelab.study.decisions import Analysis

BASELINES: tuple[dict[str, Any], ...] = (
    {"placement": "preln", "activation": "gelu"},
    {"placement": "preln", "activation": "relu"},
)


def post_minus_pre(run: Run, metric: str, sign: int, settings: Analysis) -> Effect:
    """The mean over layers and the window's checkpoints of metric_post - metric_pre, with its interval.

    Args:
        run: the training.
        metric: "se", "pr" or "eee".
        sign: the claimed one, +1 or -1.
        settings: the window, and the level of the interval.
    """
    known = {
        "of": architecture(run.row),
        "metric": METRICS[metric],
        "unit": UNITS[metric],
        "state": run.state,
        "dataset": run.row["dataset"],
        "run": run.row["name"],
    }
    if run.failed:
        return Effect(**known)
    pre, post = (run.grid(f"{metric}_{site}") for site in ("pre", "post"))
    all_SL = post.values_SL - pre.values_SL
    counted = pre.steps_S >= window_start_step(run, settings)
    pre_SL, difference_SL = pre.values_SL[counted], all_SL[counted]
    if difference_SL.size == 0 or not np.isfinite(difference_SL).all():
        return Effect(**known)
    checkpoints, layers = difference_SL.shape
    low, high = mean_interval(difference_SL.mean(axis=1), settings) or (None, None)
    untrained_L = all_SL[pre.steps_S == 0].ravel()
    return Effect(
        **known,
        value=float(difference_SL.mean()),
        low=low,
        high=high,
        relative=float(difference_SL.mean() / pre_SL.mean()),
        agreeing=float((sign * difference_SL > 0).mean()),
        layers=tuple(difference_SL.mean(axis=0).tolist()),
        untrained=float(untrained_L.mean()) if untrained_L.size and np.isfinite(untrained_L).all() else None,
        n_checkpoints=checkpoints,
        n_layers=layers,
        n_seeds=1,
    )


def verdict_of(effects: tuple[Effect, ...], sign: int) -> Verdict:
    """`RULE` on the effects of the named runs."""
    absent = [effect.of for effect in effects if effect.state == NOT_RUN]
    if absent:
        return Verdict("not run", f"{' and '.join(absent)}: {NOT_RUN}", effects)
    undecided = [effect for effect in effects if effect.low is None or effect.high is None]
    if undecided:
        reason = "; ".join(f"{effect.of} {_why_undecided(effect)}" for effect in undecided)
        return Verdict("inconclusive", reason, effects)
    ends = [sorted((sign * effect.low, sign * effect.high)) for effect in effects]
    if all(high < 0 for _, high in ends):
        return Verdict("contradicted", "every interval lies on the other side of 0", effects)
    if not all(low > 0 for low, _ in ends):
        return Verdict("inconclusive", "an interval holds 0, or the named runs disagree", effects)
    against = [f"layer {layer} of {of}" for of, layer in _layers_against(effects, sign)]
    if against:
        reason = f"every interval lies on the claimed side of 0, but {' and '.join(against)} has the other sign"
        return Verdict("inconclusive", reason, effects)
    return Verdict("supported", "every interval lies on the claimed side of 0, and every layer has its sign", effects)


def _layers_against(effects: tuple[Effect, ...], sign: int) -> list[tuple[str, int]]:
    return [
        (effect.of, layer) for effect in effects for layer, value in enumerate(effect.layers, 1) if sign * value <= 0
    ]


def _why_undecided(effect: Effect) -> str:
    if effect.state != "finished":
        return effect.state
    if effect.value is None:
        return "has an unmeasured cell, or nothing measured in the window"
    return f"has fewer than {MINIMUM} checkpoints in the window"


def _decide(aggregates: Aggregates, settings: Analysis, *, metric: str, sign: int) -> Verdict:
    effects = []
    for baseline in BASELINES:
        run = aggregates.find(**baseline)
        if run is None:
            effects.append(Effect(of=architecture(baseline), metric=METRICS[metric], unit=UNITS[metric], state=NOT_RUN))
        else:
            effects.append(post_minus_pre(run, metric, sign, settings))
    return verdict_of(tuple(effects), sign)


RULE = Rule(
    id="reinjection",
    title="The nonlinearity reinjects variance and flattens the spectrum",
    section="3.1",
    text=(
        "Effect: post minus pre, averaged over layers, then over the measured steps of the window, in the PreLN GELU "
        f"and the PreLN ReLU run (D = 4d, AdamW). {WINDOW} Before the window the network is hardly trained, and an "
        "average would hang on how densely its first steps were measured. The interval comes from a circular block "
        "bootstrap over the window's checkpoints, in blocks of the square root of their number, rounded up; all "
        "resamples are enumerated (nothing is drawn), and it is widened for the small number of blocks. Layers are "
        "not resampled. Supported if in both runs the interval lies on the claimed side of 0 and the mean effect of "
        "every single layer has the claimed sign; contradicted if in both runs the interval lies on the other side; "
        "otherwise inconclusive. A run that diverged or got stuck decides nothing, nor does one with fewer than "
        f"{MINIMUM} checkpoints in the window: the verdict is then inconclusive. Not run if one of the two runs is "
        f"absent. {SEEDS} The effect at step 0, in the untrained network, and the share of single cells (layer, step) "
        "with the claimed sign are shown and decide nothing."
    ),
    caveat=(
        "The pre-activation is a linear map of d inputs into D dimensions, so its rank is at most d: part of the "
        "difference may follow from that bound alone, before anything is learned, and the effect at step 0 says how "
        "much there is before. With few checkpoints the interval, and a verdict whose interval ends near 0, depend on "
        "the length of the blocks, too: longer blocks widen it. One seed a run: the interval covers the checkpoints "
        "of that run, not other seeds."
    ),
    revisions=(
        "this rule replaced, after the first full laptop-scale run was seen, one that pooled all measured steps and "
        "did not look at single layers, because its verdict on the participation ratio depended on the bootstrap seed.",
    ),
)

REINJECTION = (
    Finding(
        id="reinjection-se",
        claim="GELU and ReLU raise the spectral entropy of a PreLN model's FFNs (post above pre).",
        rule=RULE,
        decide=partial(_decide, metric="se", sign=1),
    ),
    Finding(
        id="reinjection-pr",
        claim="GELU and ReLU raise the participation ratio of a PreLN model's FFNs (post above pre).",
        rule=RULE,
        decide=partial(_decide, metric="pr", sign=1),
    ),
    Finding(
        id="flattening-eee",
        claim="GELU and ReLU make the spectra of a PreLN model's FFNs less top-heavy (EEE: post below pre).",
        rule=RULE,
        decide=partial(_decide, metric="eee", sign=-1),
    ),
)
