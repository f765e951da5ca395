"""NerVE, section 3.2: what the nonlinearity does where there is no LayerNorm."""

from __future__ import annotations

from nervelab.aggregates.find import Aggregates
from nervelab.aggregates.window import final, window_mean
from nervelab.analysis.findings.effects import SEED_NOISE, between_models, of_model
from nervelab.analysis.findings.finding import Effect, Finding, above, below, between
from nervelab.analysis.quantities import (
    EARLY_EEE_POST,
    EARLY_EEE_PRE,
    EARLY_GAIN,
    EARLY_JS,
    EEE_POST,
    EVAL_LOSS,
    FIRST_TWO_GAIN,
    JS_FIRST_TWO,
)
from nervelab.paper.architectures import NORMFREE_GELU, NORMFREE_LRELU, NORMFREE_RELU, PRELN_GELU, PRELN_RELU

FRONT_LOADED, INERT_JS, INERT_GAIN = 0.95, 0.01, (0.9, 1.1)
"""What "EEE near 1", "JS near 0" (nats) and "PR gain near 1" are taken to mean."""
FLAT_EEE = (0.3, 0.5)
"""EEE_post of norm-free ReLU variants, as the paper's text gives it."""


def _inertia(aggregates: Aggregates) -> tuple[Effect, ...]:
    wanted = (
        (EARLY_EEE_PRE, above(FRONT_LOADED), "eee_pre"),
        (EARLY_EEE_POST, above(FRONT_LOADED), "eee_post"),
        (EARLY_JS, below(INERT_JS), "js"),
        (EARLY_GAIN, between(*INERT_GAIN), "pr_gain"),
    )
    return tuple(
        of_model(
            aggregates,
            NORMFREE_GELU,
            quantity,
            claim,
            layers=lambda run, metric=metric: window_mean(run, metric),
        )
        for quantity, claim, metric in wanted
    )


def _compensation(aggregates: Aggregates) -> tuple[Effect, ...]:
    effects = []
    for model in (NORMFREE_RELU, NORMFREE_LRELU):
        for baseline in (PRELN_GELU, PRELN_RELU):
            effects.append(between_models(aggregates, model, baseline, FIRST_TWO_GAIN, above(1)))
        effects.append(
            of_model(aggregates, model, EEE_POST, between(*FLAT_EEE), layers=lambda run: final(run, "eee_post"))
        )
        effects.append(
            of_model(
                aggregates,
                model,
                JS_FIRST_TWO,
                above(1),
                layers=lambda run: window_mean(run, "js"),
            )
        )
    return tuple(effects)


def _gap(aggregates: Aggregates) -> tuple[Effect, ...]:
    effects = []
    for model in (NORMFREE_RELU, NORMFREE_LRELU):
        effects.append(between_models(aggregates, PRELN_GELU, model, EVAL_LOSS, below(0)))
        effects.append(between_models(aggregates, model, NORMFREE_GELU, EVAL_LOSS, below(0)))
    whole = between_models(aggregates, NORMFREE_GELU, PRELN_GELU, EVAL_LOSS, above(0))
    return (whole, *effects, *_closed(whole, effects[1::2]))


def _closed(whole: Effect, gains: list[Effect]) -> tuple[Effect, ...]:
    """The share of the gap in eval loss that each variant closes; nothing is claimed of it, it is shown."""
    if not whole.value or whole.low is None or whole.low <= 0:
        return ()
    return tuple(
        Effect(
            of=gain.of,
            quantity="share of norm-free GELU's gap in eval loss that is closed",
            value=None if gain.value is None else -gain.value / whole.value,
            state=gain.state,
            runs=gain.runs,
            note="more than all of it" if gain.value is not None and -gain.value > whole.value else "",
        )
        for gain in gains
    )


NORMFREE = (
    Finding(
        id="normfree-inertia",
        section="3.2",
        claim="Norm-free GELU shows spectral inertia: early layers stay front-loaded, and their spectra hardly change.",
        rule=(
            "Norm-free GELU, the first third of its layers (rounded up), averaged over the window's checkpoints: EEE "
            f"before and after the nonlinearity above {FRONT_LOADED}, JS below {INERT_JS} nats, PR gain between "
            f"{INERT_GAIN[0]} and {INERT_GAIN[1]}. {SEED_NOISE}"
        ),
        effects=_inertia,
        caveat=(
            "EEE before the nonlinearity is at least about 1 − d/D by construction: 0.75 at D = 4d. Of four layers, "
            "a third rounded up is half."
        ),
    ),
    Finding(
        id="normfree-compensation",
        section="3.2",
        claim=(
            "Norm-free ReLU and leaky ReLU compensate: the first two layers reinject strongly, EEE_post stays at "
            "0.3 to 0.5, and JS peaks early."
        ),
        rule=(
            "PR gain of layers 1 and 2 in norm-free ReLU and in norm-free learnable leaky ReLU, averaged over the "
            "window's checkpoints, above that of either PreLN baseline; EEE_post after training, mean over layers, "
            f"between {FLAT_EEE[0]} and {FLAT_EEE[1]} as in the paper; the largest JS in layer 1 or 2 rather than "
            f"deeper. {SEED_NOISE}"
        ),
        effects=_compensation,
        caveat=(
            "Of four layers, the first two are half the model. The paper's text has EEE_post at 0.3 to 0.5, its "
            "Figure 4 at 0.7 to 0.8 in early layers."
        ),
        revisions=(
            "where the largest JS lies is a ratio since a reading of the first full run: before, the number of its "
            "layer was averaged over seeds.",
        ),
    ),
    Finding(
        id="normfree-gap",
        section="3.2",
        claim="Norm-free ReLU variants close part of norm-free GELU's perplexity gap to the baseline.",
        rule=(
            "Final eval loss: PreLN GELU below norm-free ReLU and norm-free leaky ReLU, and both below norm-free GELU. "
            "The share of the gap that is closed is shown where there is a gap (the paper says about half; its Table 2 "
            f"has 46 % and 28 % in perplexity). {SEED_NOISE}"
        ),
        effects=_gap,
    ),
)
