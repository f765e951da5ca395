"""What the nonlinearity does to the spectrum, and how activations differ (NerVE, section 3.1)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from nervelab.aggregates.find import Aggregates
from nervelab.aggregates.run import Run
from nervelab.aggregates.window import window_mean, window_start_step
from nervelab.analysis.findings.effects import SEED_NOISE, between_models, of_model
from nervelab.analysis.findings.finding import Claim, Effect, Finding, above, below
from nervelab.analysis.quantities import (
    EVAL_LOSS,
    JS_DEPTH,
    JS_PEAK,
    MEAN_EFFECT,
    PR_POST,
    SETTLING_STEP,
    Quantity,
    effect,
    layer_effect,
)
from nervelab.paper.architectures import PRELN_GELU, PRELN_RELU, Model
from nervelab.words.labels import WINDOW
from nervelab.words.runs import outcome


def mean_effect(aggregates: Aggregates, model: Model, metric: str, claim: Claim) -> Effect:
    """The effect averaged over layers, the window's checkpoints and seeds; in its note, that of single cells."""
    layers = partial(_by_layer, metric=metric)
    found = of_model(aggregates, model, MEAN_EFFECT[metric], claim, layers=layers)
    return replace(found, note=_cells(aggregates.find_seeds(**model), metric, claim))


def _by_layer(run: Run, *, metric: str) -> np.ndarray:
    return effect(run, metric)


def _cells(runs: tuple[Run, ...], metric: str, claim: Claim) -> str:
    """The share of single cells (seed, checkpoint, layer) with the claimed sign, and the mean effect at step 0."""
    if outcome(runs) != "finished":
        return ""
    sign = 1 if math.isfinite(claim.low) else -1
    counted, untrained = [], []
    for run in runs:
        pre, post = (run.grid(f"{metric}_{site}") for site in ("pre", "post"))
        signs_SL = np.sign(sign * (post.values_SL - pre.values_SL))
        counted.append(signs_SL[pre.steps_S >= window_start_step(run)])
        effect_SL = post.values_SL / pre.values_SL if metric == "pr" else post.values_SL - pre.values_SL
        untrained.extend(effect_SL[pre.steps_S == 0])
    cells = np.concatenate(counted)
    if not cells.size or np.isnan(cells).any():
        return "an unmeasured cell, or nothing measured in the window"
    share = f"{100 * np.mean(cells > 0):.0f} % of cells"
    return share + (f"; before training {np.mean(untrained):.3g}".replace("-", "−") if untrained else "")


def weakest_layer(aggregates: Aggregates, model: Model, metric: str, claim: Claim) -> Effect:
    """The effect in the layer that, on the mean over seeds, is the least in favour of the claim."""
    runs = aggregates.find_seeds(**model)
    layer = 0
    if outcome(runs) == "finished":
        effect_L = np.mean([effect(run, metric) for run in runs], axis=0)
        layer = int(effect_L.argmin() if math.isfinite(claim.low) else effect_L.argmax())
    return of_model(aggregates, model, layer_effect(metric, layer), claim)


def _effects(aggregates: Aggregates, *, metric: str, claim: Claim) -> tuple[Effect, ...]:
    effects = []
    for model in (PRELN_GELU, PRELN_RELU):
        effects.append(mean_effect(aggregates, model, metric, claim))
        effects.append(weakest_layer(aggregates, model, metric, claim))
    return tuple(effects)


RULE = (
    "What the nonlinearity does in the PreLN GELU and the PreLN ReLU model (D = 4d, AdamW): post minus pre of SE "
    "and EEE, the gain post / pre of PR; once averaged over layers and the window's checkpoints, once in the layer "
    f"that is the least in favour of the claim on the mean over seeds. {WINDOW} {SEED_NOISE} In the note: the share "
    "of single cells (seed, layer, checkpoint) with the claimed sign, and the mean effect before training; they "
    "decide nothing."
)


CAVEAT = (
    "The pre-activation is a linear map of d inputs into D dimensions, so its rank is at most d: part of the "
    "difference may follow from that bound alone, before anything is learned, and the effect before training (step 0) "
    "says how much there is by then."
)


REVISIONS = (
    "this rule replaced, after a first full run at laptop scale was seen, one that pooled all measured steps and did "
    "not look at single layers, because its verdict on the participation ratio depended on the bootstrap seed.",
    "when seeds were repeated, the mean over three seeds took the place of one; intervals became those of seed "
    "noise, as a bootstrap over checkpoints takes the drift of training for noise (of PR in PreLN GELU it left the "
    "sign open, although all cells had it); PR is compared by its gain, because its spread over seeds grows with "
    "its size; a single layer counts with its interval in place of its bare sign; and one contrary effect "
    "contradicts where before all had to be contrary.",
)


REINJECTION = tuple(
    Finding(
        id=id,
        section="3.1",
        claim=claim,
        rule=RULE,
        effects=partial(_effects, metric=metric, claim=wanted),
        caveat=CAVEAT,
        revisions=REVISIONS,
    )
    for id, metric, wanted, claim in (
        ("reinjection-se", "se", above(0), "GELU and ReLU raise spectral entropy: post above pre."),
        ("reinjection-pr", "pr", above(1), "GELU and ReLU raise the participation ratio: post above pre."),
        ("flattening-eee", "eee", below(0), "GELU and ReLU make spectra less top-heavy: EEE post below pre."),
    )
)


LOCALISED = 2.0
"""By how much the largest layer's JS must exceed the median layer's for "localised in depth"."""


def _bands(aggregates: Aggregates) -> tuple[Effect, ...]:
    return tuple(
        of_model(aggregates, model, quantity, claim, layers=lambda run: window_mean(run, "js"))
        for model in (PRELN_GELU, PRELN_RELU)
        for quantity, claim in ((JS_PEAK, above(LOCALISED)), (JS_DEPTH, below(1)))
    )


def _gelu_against_relu(quantity: Quantity, claim: Claim) -> Callable[[Aggregates], tuple[Effect, ...]]:
    def effects(aggregates: Aggregates) -> tuple[Effect, ...]:
        return (between_models(aggregates, PRELN_GELU, PRELN_RELU, quantity, claim),)

    return effects


ACTIVATIONS = (
    Finding(
        id="js-bands",
        section="3.1, B.2",
        claim="The redistribution is localised in depth and fades in deep layers.",
        rule=(
            "JS between the pre- and post-activation spectra, averaged over the window's checkpoints, in the PreLN "
            f"GELU and ReLU models: the largest layer's over the median layer's (localised: above {LOCALISED:g}), "
            "and the mean of the deepest third of layers (rounded up) over that of the others (fading: below 1). "
            f"{SEED_NOISE}"
        ),
        effects=_bands,
        caveat="Of four layers a median is coarse, and a third rounded up is half. By layer: the JS itself, in nats.",
    ),
    Finding(
        id="gelu-broader",
        section="3.1",
        claim="GELU ends with a higher PR_post than ReLU.",
        rule=f"PR_post after training, mean over layers: PreLN GELU over PreLN ReLU. {SEED_NOISE}",
        effects=_gelu_against_relu(PR_POST, above(1)),
    ),
    Finding(
        id="relu-earlier",
        section="3.1",
        claim="ReLU settles earlier than GELU.",
        rule=(
            "The first measured step from which on SE_post, averaged over layers, stays within 5 % of its value after "
            f"training: PreLN GELU's less PreLN ReLU's. {SEED_NOISE}"
        ),
        effects=_gelu_against_relu(SETTLING_STEP, above(0)),
        caveat="Steps between two measurements are not resolved.",
    ),
    Finding(
        id="gelu-better",
        section="3.1",
        claim="GELU has the lower perplexity.",
        rule=f"Final eval loss: PreLN GELU's less PreLN ReLU's. {SEED_NOISE}",
        effects=_gelu_against_relu(EVAL_LOSS, below(0)),
    ),
)
