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
from nervelab.analysis.findings.finding import Claim, Effect, Finding, Rivals, above, below
from nervelab.analysis.findings.rivals import (
    OF_LOSS,
    RANK_SAID,
    Probed,
    beyond,
    change,
    compared,
    layer_mean,
    nulls_said,
    of_each,
    unbounded,
)
from nervelab.analysis.quantities import (
    EVAL_LOSS,
    JS_BAND,
    JS_DEPTH,
    MEAN_EFFECT,
    PR_POST,
    SETTLING_BEYOND_LOSS,
    SETTLING_STEP,
    Quantity,
    deep_over_rest,
    effect,
    layer_effect,
    over_others,
)
from nervelab.paper.architectures import PRELN_GELU, PRELN_RELU, Model
from nervelab.probefiles import GAUSSIAN, SHUFFLED, UNTRAINED
from nervelab.words.labels import WINDOW
from nervelab.words.metrics import SPECTRAL
from nervelab.words.runs import outcome


def mean_effect(aggregates: Aggregates, model: Model, metric: str, claim: Claim) -> Effect:
    """The effect averaged over layers, the window's checkpoints and seeds; in its note, that of single cells."""
    layers = partial(_by_layer, metric=metric)
    found = of_model(aggregates, model, MEAN_EFFECT[metric], claim, layers=layers)
    cells = _cells(aggregates.find_seeds(**model), metric, claim)
    return replace(found, note="; ".join(filter(None, (found.note, cells))))


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
        effect_SL = np.log(post.values_SL / pre.values_SL) if metric == "pr" else post.values_SL - pre.values_SL
        untrained.extend(effect_SL[pre.steps_S == 0])
    cells = np.concatenate(counted)
    if not cells.size or np.isnan(cells).any():
        return "an unmeasured cell, or nothing measured in the window"
    share = f"{100 * np.mean(cells > 0):.0f} % of cells"
    if not untrained:
        return share
    before = math.exp(np.mean(untrained)) if metric == "pr" else np.mean(untrained)
    return f"{share}; before training {before:.3g}".replace("-", "−")


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


def _reinjection_rivals(aggregates: Aggregates, *, metric: str, claim: Claim) -> tuple[Effect, ...]:
    probed = change(metric, by_ratio=SPECTRAL[metric].by_ratio)
    return (
        *of_each(aggregates, (UNTRAINED, GAUSSIAN, SHUFFLED), (PRELN_GELU, PRELN_RELU), probed, claim),
        *(unbounded(aggregates, model, MEAN_EFFECT[metric], claim) for model in (PRELN_GELU, PRELN_RELU)),
    )


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
        rivals=Rivals(
            f"{nulls_said(UNTRAINED, GAUSSIAN, SHUFFLED)} Of the mean over layers. {RANK_SAID}",
            partial(_reinjection_rivals, metric=metric, claim=wanted),
        ),
        caveat=CAVEAT,
        revisions=REVISIONS,
    )
    for id, metric, wanted, claim in (
        ("reinjection-se", "se", above(0), "GELU and ReLU raise spectral entropy: post above pre."),
        ("reinjection-pr", "pr", above(1), "GELU and ReLU raise the participation ratio: post above pre."),
        ("flattening-eee", "eee", below(0), "GELU and ReLU make spectra less top-heavy: EEE post below pre."),
    )
)


def _of_js(quantity: Quantity, claim: Claim) -> Callable[[Aggregates], tuple[Effect, ...]]:
    def effects(aggregates: Aggregates) -> tuple[Effect, ...]:
        return tuple(
            of_model(aggregates, model, quantity, claim, layers=lambda run: window_mean(run, "js"))
            for model in (PRELN_GELU, PRELN_RELU)
        )

    return effects


BAND = Probed(
    "JS of the largest layer / mean of the other layers",
    lambda column: over_others(column("js"), int(column("js").argmax())),
    by_ratio=True,
)
DEPTH = Probed(
    "JS of the deepest third of layers / that of the others",
    lambda column: deep_over_rest(column("js")),
    by_ratio=True,
)
PR_PER_ACTIVE = Probed(
    "PR_post / share of active units, mean over layers",
    lambda column: float((column("pr_post") / column("active_share")).mean()),
    by_ratio=True,
)


def _js_rivals(probed: Probed, claim: Claim) -> Callable[[Aggregates], tuple[Effect, ...]]:
    return lambda aggregates: of_each(aggregates, (UNTRAINED, GAUSSIAN), (PRELN_GELU, PRELN_RELU), probed, claim)


def _broader_rivals(aggregates: Aggregates) -> tuple[Effect, ...]:
    nulls = (
        beyond(aggregates, null, PRELN_GELU, layer_mean("pr_post"), above(1), against=PRELN_RELU)
        for null in (UNTRAINED, GAUSSIAN)
    )
    before = between_models(aggregates, PRELN_GELU, PRELN_RELU, MEAN_EFFECT["pr"], above(1))
    active = compared(aggregates, PRELN_GELU, PRELN_RELU, PR_PER_ACTIVE, above(1), "the share of active units")
    return (*nulls, replace(before, rival="a broader pre-activation"), active)


def _earlier_rivals(aggregates: Aggregates) -> tuple[Effect, ...]:
    beside = between_models(aggregates, PRELN_GELU, PRELN_RELU, SETTLING_BEYOND_LOSS, above(0))
    return (replace(beside, rival="a loss that settles earlier"),)


def _gelu_against_relu(quantity: Quantity, claim: Claim) -> Callable[[Aggregates], tuple[Effect, ...]]:
    def effects(aggregates: Aggregates) -> tuple[Effect, ...]:
        return (between_models(aggregates, PRELN_GELU, PRELN_RELU, quantity, claim),)

    return effects


SPLIT_JS = (
    "js-bands held localisation and fading in one claim, and asked of the largest layer twice the median layer's JS, "
    "which no run came near: since the rules were reviewed they are two claims, and the layer is chosen on other "
    "checkpoints than those that it is judged by, as the largest of several is always above the others."
)

ACTIVATIONS = (
    Finding(
        id="js-bands",
        section="3.1, B.2",
        claim="The redistribution is localised in depth.",
        rule=(
            "JS between the pre- and post-activation spectra in the PreLN GELU and ReLU models. Over the first half of "
            "the window's checkpoints the layer with the largest JS is taken; localised: over the second half its JS "
            f"is above the mean of the other layers'. {WINDOW} {SEED_NOISE}"
        ),
        effects=_of_js(JS_BAND, above(1)),
        rivals=Rivals(
            f"{nulls_said(UNTRAINED, GAUSSIAN)} The largest layer is each network's own; the Gaussian has the scale of "
            "the pre-activations too.",
            _js_rivals(BAND, above(1)),
        ),
        caveat=(
            "It says that one layer stays ahead, not by how much it must: the paper gives no number. By layer: the JS "
            "itself, in nats."
        ),
        revisions=(SPLIT_JS,),
    ),
    Finding(
        id="js-fading",
        section="3.1, B.2",
        claim="The redistribution fades in deep layers.",
        rule=(
            "JS between the pre- and post-activation spectra, averaged over the window's checkpoints, in the PreLN "
            "GELU and ReLU models: the mean of the deepest third of layers (rounded up) over that of the others, "
            f"below 1. {SEED_NOISE}"
        ),
        effects=_of_js(JS_DEPTH, below(1)),
        rivals=Rivals(nulls_said(UNTRAINED, GAUSSIAN), _js_rivals(DEPTH, below(1))),
        caveat="Of four layers, a third rounded up is half. By layer: the JS itself, in nats.",
        revisions=(SPLIT_JS,),
    ),
    Finding(
        id="gelu-broader",
        section="3.1",
        claim="GELU ends with a higher PR_post than ReLU.",
        rule=f"PR_post after training, mean over layers: PreLN GELU over PreLN ReLU. {SEED_NOISE}",
        effects=_gelu_against_relu(PR_POST, above(1)),
        rivals=Rivals(
            f"{nulls_said(UNTRAINED, GAUSSIAN, between=True)} A broader pre-activation: the gain of PR is to be "
            "larger in GELU too. The share of active units, that is of units and tokens above 0: PR_post over it is "
            "to be larger in GELU too, over the eight widths.",
            _broader_rivals,
        ),
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
        rivals=Rivals(
            "A loss that settles earlier: the step from which SE_post is settled less that from which the eval loss "
            "stays within 5 % of its final value is to be larger in GELU too.",
            _earlier_rivals,
        ),
        caveat="Steps between two measurements are not resolved.",
    ),
    Finding(
        id="gelu-better",
        section="3.1",
        claim="GELU has the lower perplexity.",
        rule=f"Final eval loss: PreLN GELU's less PreLN ReLU's. {SEED_NOISE}",
        effects=_gelu_against_relu(EVAL_LOSS, below(0)),
        rivals=Rivals(OF_LOSS),
    ),
)
