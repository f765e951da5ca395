"""NerVE, section 3.1: where the redistribution happens, and how GELU and ReLU differ."""

from __future__ import annotations

from collections.abc import Callable

from nervelab.aggregates.find import Aggregates
from nervelab.aggregates.window import window_mean
from nervelab.analysis.findings.effects import SEED_NOISE, between_models, of_model
from nervelab.analysis.findings.finding import Claim, Effect, Finding, above, below
from nervelab.analysis.quantities import EVAL_LOSS, JS_DEPTH, JS_PEAK, PR_POST, SETTLING_STEP, Quantity
from nervelab.paper.architectures import PRELN_GELU, PRELN_RELU

LOCALISED = 2.0
"""By how much the largest layer's JS must exceed the median layer's for "localised in depth"."""


def _bands(aggregates: Aggregates) -> tuple[Effect, ...]:
    return tuple(
        of_model(aggregates, model, quantity, claim, layers=lambda run, each: window_mean(run, "js", each))
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
