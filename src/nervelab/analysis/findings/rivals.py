"""What is left of a claim beside a rival explanation: an untrained network, a Gaussian, the rank bound."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from functools import partial

import numpy as np

from nervelab.aggregates.find import SHORT_RECIPE, Aggregates, over_widths
from nervelab.aggregates.run import Run, names
from nervelab.analysis.findings.effects import of_model
from nervelab.analysis.findings.finding import Claim, Effect
from nervelab.analysis.quantities import Quantity
from nervelab.paper.architectures import WIDTHS, Model
from nervelab.probefiles import GAUSSIAN, SHUFFLED, TRAINED, UNTRAINED
from nervelab.statistics.across_runs import mean_of
from nervelab.statistics.estimate import of_logarithm
from nervelab.words.labels import NOT_PROBED
from nervelab.words.metrics import SPECTRAL, heading
from nervelab.words.runs import named, outcome_over_widths

NULLS = {
    UNTRAINED: "the untrained network",
    GAUSSIAN: "a Gaussian with the trained mean and covariance",
    SHUFFLED: "shuffled principal components",
}
"""Rivals that a probe of the kept weights measures, by whose activations they are."""
NULL_NAMES = {UNTRAINED: "untrained", GAUSSIAN: "Gaussian", SHUFFLED: "shuffled"}
RANK_BOUND = "the rank bound"

_NULLS_IN_WORDS = {
    UNTRAINED: "the network before training, of the same seed",
    GAUSSIAN: "a Gaussian with the mean and covariance of the trained pre-activations, through the same nonlinearity",
    SHUFFLED: "the trained pre-activations with every principal component shuffled over tokens, likewise",
}


def nulls_said(*nulls: str, between: bool = False) -> str:
    """What is held against a claim by a probe, in words; `between`: of two models, the one against the other."""
    held = "how much more of it the one has beyond its own null than the other" if between else "what is beyond each"
    return (
        f"By the probe of the kept weights: {'; '.join(_NULLS_IN_WORDS[null] for null in nulls)}. After training, "
        f"{held}, run by run over the eight widths of the short recipe (seed 0), as the mean with its t interval over "
        "widths, is to be as claimed."
    )


RANK_SAID = (
    "The rank bound: the pre-activation has at most rank d, and at D = 1d, by the short recipe, that bounds nothing; "
    "the effect is to be as claimed there too."
)


def level_said(wanted: str) -> str:
    """What is held against a level by a probe, in words; `wanted`: what the nulls are to show instead."""
    nulls = "; ".join(_NULLS_IN_WORDS[null] for null in (UNTRAINED, GAUSSIAN))
    return (
        f"By the probe of the kept weights: {nulls}. A level that the first has as well is not brought by training, "
        "and one that the second has as well follows from two moments of the pre-activation. Over the eight widths "
        f"of the short recipe, as the mean with its t interval over widths, {wanted}."
    )


OF_LOSS = (
    "No rival is held against a difference of losses. What could make it trivial is how well each model was trained: "
    "at the paper's scale rates are those of the sources, below it a sweep chose them for the models that it names."
)

Layered = Callable[[str], np.ndarray]
"""The columns of a probe, each by layer, shape [L]."""


@dataclass(frozen=True)
class Probed:
    """A number that a network has by what a probe measured of its layers, trained or not.

    Attributes:
        name: what it is, in words.
        value: takes the columns of a probe; None or not finite where they give no such number.
        by_ratio: whether networks are compared by ratios (its logarithm is averaged) instead of by differences.
    """

    name: str
    value: Callable[[Layered], float | None]
    by_ratio: bool = False

    def of(self, run: Run, activations: str) -> float | None:
        """The mean over draws (of logarithms, if compared by ratios); None where there is no such number.

        Raises:
            ValueError: the run was not probed.
        """
        pr_post = run.probed(activations, "pr_post")
        if pr_post is None:
            raise ValueError(f"{run.row['name']} was not probed")
        draws = range(len(pr_post))
        values = [self.value(lambda name, draw=draw: run.probed(activations, name)[draw]) for draw in draws]
        if any(value is None or not math.isfinite(value) or (self.by_ratio and value <= 0) for value in values):
            return None
        return float(np.mean(np.log(values) if self.by_ratio else values))


def layer_mean(metric: str, *, by_ratio: bool = True) -> Probed:
    """A column averaged over layers."""
    return Probed(f"{heading(metric)}, mean over layers", lambda column: float(column(metric).mean()), by_ratio)


def change(metric: str, *, by_ratio: bool, layers: slice = slice(None), where: str = "over layers") -> Probed:
    """What the nonlinearity does to a metric, averaged over layers: post / pre (geometrically), or post - pre."""

    def value(column: Layered) -> float:
        pre_L, post_L = column(f"{metric}_pre")[layers], column(f"{metric}_post")[layers]
        return float(np.exp(np.log(post_L / pre_L).mean()) if by_ratio else (post_L - pre_L).mean())

    mean = "geometric mean" if by_ratio else "mean"
    return Probed(f"{SPECTRAL[metric].effect}, {mean} {where}", value, by_ratio)


def beyond(
    aggregates: Aggregates, activations: str, model: Model, probed: Probed, claim: Claim, against: Model | None = None
) -> Effect:
    """What a trained model has more of than a null, or what it has so more than another model has.

    Args:
        aggregates: all runs.
        activations: whose activations the null's are, a key of `NULLS`.
        model: the model, at all `WIDTHS` by the short recipe.
        probed: the number.
        claim: where the claim wants it: above or below 0, or 1 if it is compared by ratios.
        against: another model, from whose excess over its own null, width by width, that of `model` is counted.
    """

    def excess(run: Run) -> float | None:
        trained, null = probed.of(run, TRAINED), probed.of(run, activations)
        return None if trained is None or null is None else trained - null

    words = f"{probed.name}, trained {_sign(probed)} {NULL_NAMES[activations]}"
    return _over_widths(
        aggregates, (model, against), words, excess, claim, NULLS[activations], by_ratio=probed.by_ratio
    )


def of_each(
    aggregates: Aggregates, nulls: tuple[str, ...], models: tuple[Model, ...], probed: Probed, claim: Claim
) -> tuple[Effect, ...]:
    """`beyond` for each null and model."""
    return tuple(beyond(aggregates, null, model, probed, claim) for null in nulls for model in models)


def of_null(aggregates: Aggregates, activations: str, model: Model, probed: Probed, claim: Claim) -> Effect:
    """The number of a null itself, over the widths of a model: the claim is that it is not where the trained one is."""
    words = f"{probed.name}, {NULL_NAMES[activations]}"
    value = partial(probed.of, activations=activations)
    return _over_widths(aggregates, (model, None), words, value, claim, NULLS[activations], by_ratio=probed.by_ratio)


def compared(
    aggregates: Aggregates, model: Model, other: Model, probed: Probed, claim: Claim | None, rival: str
) -> Effect:
    """A number of a trained model against that of another, width by width."""
    value = partial(probed.of, activations=TRAINED)
    return _over_widths(aggregates, (model, other), probed.name, value, claim, rival, by_ratio=probed.by_ratio)


def unbounded(aggregates: Aggregates, model: Model, quantity: Quantity, claim: Claim) -> Effect:
    """The quantity at D = 1d, where the rank of the pre-activation, at most d, bounds nothing."""
    return replace(
        of_model(aggregates, model | SHORT_RECIPE | {"width_multiple": 1}, quantity, claim), rival=RANK_BOUND
    )


def probed_over_widths(runs: Iterable[Run | None]) -> str:
    """As `outcome_over_widths`, for runs that have to be probed as well: "finished" only if all of them are."""
    runs = tuple(runs)
    state = outcome_over_widths(runs)
    return NOT_PROBED if state == "finished" and any(run.probes is None for run in runs) else state


def _sign(probed: Probed) -> str:
    return "/" if probed.by_ratio else "−"


def _over_widths(
    aggregates: Aggregates,
    models: tuple[Model, Model | None],
    words: str,
    value: Callable[[Run], float | None],
    claim: Claim | None,
    rival: str,
    *,
    by_ratio: bool,
) -> Effect:
    """A number of each width of the first model, less that of the second where there is one; logarithms if by ratio."""
    model, other = models
    runs, others = over_widths(aggregates, model), over_widths(aggregates, other) if other else ()
    both = f"{named(model)} {'/' if by_ratio else '−'} {named(other)}" if other else named(model)
    known = {
        "of": f"{both}, D = {WIDTHS[0]}d to {WIDTHS[-1]}d",
        "quantity": words,
        "claim": claim,
        "runs": names((*runs, *others)),
        "rival": rival,
    }
    state = probed_over_widths((*runs, *others))
    if state != "finished":
        return Effect(**known, state=state)
    values, against = [value(run) for run in runs], [value(run) for run in others] if other else [0.0] * len(runs)
    if None in values or None in against:
        return Effect(**known, note="a width has no such number")
    mean = mean_of(np.subtract(values, against), aggregates.confidence)
    return Effect(**known, **asdict(of_logarithm(mean) if by_ratio else mean))
