"""NerVE, section 3.4 and appendix C.1: what the place of the norm does to the use of width, and to perplexity."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial

import numpy as np

from nervelab.aggregates.find import SHORT_RECIPE, Aggregates, over_widths
from nervelab.aggregates.run import Run, names
from nervelab.analysis.findings.effects import SEED_NOISE, between_models
from nervelab.analysis.findings.finding import Claim, Effect, Finding, Rivals, above, below, between
from nervelab.analysis.findings.rivals import NULLS, OF_LOSS, Probed, beyond, layer_mean, nulls_said, probed_over_widths
from nervelab.analysis.quantities import EVAL_LOSS, LAYER_SPREAD, NORMALISED_PR, Quantity
from nervelab.paper.architectures import (
    BY_PLACEMENT,
    LONG_WIDTHS,
    MIXLN_GELU,
    POSTLN_GELU,
    PRELN_GELU,
    RELEASED_GELU,
    Model,
)
from nervelab.probefiles import GAUSSIAN, TRAINED, UNTRAINED
from nervelab.statistics.across_runs import mean_of, slope
from nervelab.statistics.estimate import of_logarithm
from nervelab.words.runs import outcome_over_widths

FLAT = 0.25
"""The exponent of PR_post / D over D within which return on width counts as flat, and below which as falling."""


def _order(aggregates: Aggregates) -> tuple[Effect, ...]:
    return _over_each(aggregates, NORMALISED_PR, (("PreLN", "MixLN"), ("MixLN", "PostLN")))


def _layer_spread(aggregates: Aggregates) -> tuple[Effect, ...]:
    return _over_each(aggregates, LAYER_SPREAD, (("MixLN", "PreLN"), ("MixLN", "PostLN")))


def _exponents(aggregates: Aggregates) -> tuple[Effect, ...]:
    sweeps = _sweeps(aggregates)
    return (
        _exponent("PreLN", sweeps["PreLN"], between(-FLAT, FLAT), aggregates.confidence),
        _exponent("PostLN", sweeps["PostLN"], below(-FLAT), aggregates.confidence),
        _exponent("MixLN", sweeps["MixLN"], None, aggregates.confidence),
        *(_between_ends(aggregates, name) for name in ("PreLN", "PostLN")),
    )


def _sweeps(aggregates: Aggregates) -> dict[str, tuple[Run | None, ...]]:
    return {name: over_widths(aggregates, model) for name, model in BY_PLACEMENT.items()}


def _over_each(aggregates: Aggregates, quantity: Quantity, pairs: tuple[tuple[str, str], ...]) -> tuple[Effect, ...]:
    sweeps = _sweeps(aggregates)
    return tuple(
        ratio_over_widths(f"{one} / {other}", sweeps[one], sweeps[other], quantity, aggregates.confidence)
        for one, other in pairs
    )


def ratio_over_widths(
    of: str, runs: tuple[Run | None, ...], others: tuple[Run | None, ...], quantity: Quantity, confidence: float
) -> Effect:
    """One sweep over another, width by width: the geometric mean, with the t interval over widths. Claimed above 1."""
    both = (*runs, *others)
    state = outcome_over_widths(both)
    known = {"of": of, "quantity": quantity.name, "claim": above(1), "state": state, "runs": names(both)}
    if state != "finished":
        return Effect(**known)
    pairs = [(quantity.of(run), quantity.of(against)) for run, against in zip(runs, others, strict=True)]
    if any(None in pair for pair in pairs):
        return Effect(**known)
    ratios = [run / against for run, against in pairs]
    mean = of_logarithm(mean_of(np.log(ratios), confidence))
    return Effect(**known, **asdict(mean), note="by width: " + ", ".join(f"{ratio:.2f}" for ratio in ratios))


USE = layer_mean("pr_post")
SPREAD = Probed(
    "spread of PR_post over layers",
    lambda column: float(column("pr_post").std() / column("pr_post").mean()),
    by_ratio=True,
)


def _order_rivals(aggregates: Aggregates) -> tuple[Effect, ...]:
    return _beyond_each(aggregates, USE, ((PRELN_GELU, MIXLN_GELU), (MIXLN_GELU, POSTLN_GELU)))


def _spread_rivals(aggregates: Aggregates) -> tuple[Effect, ...]:
    return _beyond_each(aggregates, SPREAD, ((MIXLN_GELU, PRELN_GELU), (MIXLN_GELU, POSTLN_GELU)))


def _beyond_each(aggregates: Aggregates, probed: Probed, pairs: tuple[tuple[Model, Model], ...]) -> tuple[Effect, ...]:
    return tuple(
        beyond(aggregates, null, one, probed, above(1), against=other)
        for null in (UNTRAINED, GAUSSIAN)
        for one, other in pairs
    )


def _exponent_rivals(aggregates: Aggregates) -> tuple[Effect, ...]:
    unbiased = Probed("unbiased PR_post", lambda column: float(column("unbiased_pr_post").mean()), by_ratio=True)
    sweeps = _sweeps(aggregates)

    def over_untrained(run: Run) -> float | None:
        trained, untrained = USE.of(run, TRAINED), USE.of(run, UNTRAINED)
        return None if trained is None or untrained is None else math.exp(trained - untrained)

    def of_unbiased(run: Run) -> float | None:
        value = unbiased.of(run, TRAINED)
        return None if value is None else math.exp(value) / run.width

    exponent = partial(_exponent, confidence=aggregates.confidence, outcome_of=probed_over_widths)
    trained = exponent("PostLN", sweeps["PostLN"], below(0), words="PR_post, trained / untrained", value=over_untrained)
    unbiased_ones = (
        exponent(name, sweeps[name], claim, words="unbiased PR_post / D", value=of_unbiased)
        for name, claim in (("PreLN", between(-FLAT, FLAT)), ("PostLN", below(-FLAT)))
    )
    return (
        replace(trained, rival=NULLS[UNTRAINED]),
        *(replace(each, rival="the number of tokens") for each in unbiased_ones),
    )


def _exponent(
    name: str,
    runs: tuple[Run | None, ...],
    claim: Claim | None,
    confidence: float,
    words: str = "PR_post / D",
    value: Callable[[Run], float | None] = NORMALISED_PR.of,
    outcome_of: Callable[[tuple[Run | None, ...]], str] = outcome_over_widths,
) -> Effect:
    """The slope over ln D of the logarithm of a number that runs have, by default of PR_post / D."""
    state = outcome_of(runs)
    known = {"of": name, "quantity": f"exponent of {words} over D", "claim": claim, "state": state}
    if state != "finished":
        return Effect(**known)
    estimate = slope([run.width for run in runs], [value(run) for run in runs], confidence)
    return Effect(**known, **asdict(estimate), runs=names(runs))


def _between_ends(aggregates: Aggregates, name: str) -> Effect:
    """The same slope by the long recipe, which trains fewer widths; nothing is claimed of it."""
    runs = tuple(aggregates.find(**BY_PLACEMENT[name], width_multiple=width) for width in LONG_WIDTHS)
    return _exponent(f"{name}, long recipe, D = 1d, 4d and 8d", runs, None, aggregates.confidence)


def _perplexity(aggregates: Aggregates) -> tuple[Effect, ...]:
    claimed = ((PRELN_GELU, MIXLN_GELU), (MIXLN_GELU, POSTLN_GELU))
    effects = [between_models(aggregates, one, other, EVAL_LOSS, below(0)) for one, other in claimed]
    released = RELEASED_GELU | SHORT_RECIPE
    if aggregates.find_seeds(**released):
        others = (PRELN_GELU | SHORT_RECIPE, MIXLN_GELU | SHORT_RECIPE)
        effects += [between_models(aggregates, released, each, EVAL_LOSS, None) for each in others]
    return tuple(effects)


OVER_WIDTHS = (
    "GELU models at D = 1d to 8d by the short recipe, all measured on the same tokens, after training; width by width "
    "as a ratio, of which the geometric mean over the eight widths counts, with its t interval over widths."
)
ONE_SEED_A_WIDTH = (
    "One seed at each width, the same at all of them: what differs from width to width is taken for noise, a trend "
    "included, and what that seed does to all of them is not seen. The released PreLN block was trained "
    "at 4d only (see placement-ppl)."
)
SPLIT_WIDTH = (
    "return-on-width held the order of placements, exponents over D and the spread over layers in one claim, the order "
    "with the seed noise of other models, which a scale of one seed does not have: since the rules were reviewed they "
    "are three claims, and what varies over widths is the noise."
)

PLACEMENT = (
    Finding(
        id="return-on-width",
        section="3.4",
        claim="PreLN turns width into usable dimensions: PR_post / D is PreLN > MixLN > PostLN.",
        rule=f"PR_post / D, mean over layers: PreLN over MixLN, and MixLN over PostLN. {OVER_WIDTHS}",
        effects=_order,
        rivals=Rivals(nulls_said(UNTRAINED, GAUSSIAN, between=True), _order_rivals),
        caveat=ONE_SEED_A_WIDTH,
        revisions=(SPLIT_WIDTH,),
    ),
    Finding(
        id="width-exponents",
        section="3.4",
        claim="PR_post / D is flat over D for PreLN, and falls for PostLN.",
        rule=(
            "GELU models at D = 1d to 8d by the short recipe, all measured on the same tokens, after training: the "
            "slope of ln(PR_post / D) over ln D, by least squares over the eight widths with its t interval; within "
            f"± {FLAT} is flat, below −{FLAT} is falling. In the paper's Table 7 it is −0.12 for PreLN and −1.14 for "
            "PostLN between the ends. Three widths of each by the long recipe are shown beside."
        ),
        effects=_exponents,
        rivals=Rivals(
            "The untrained network: the exponent of the trained PostLN over the untrained one, by least squares over "
            "the eight widths, is to be below 0. The number of tokens: of few tokens PR is too small, and more so "
            "where it is large; the exponents of the unbiased estimate are to be as claimed too.",
            _exponent_rivals,
        ),
        caveat=f'Where "flat" ends is ours: the paper gives no number. {ONE_SEED_A_WIDTH}',
        revisions=(SPLIT_WIDTH,),
    ),
    Finding(
        id="width-layer-spread",
        section="3.4",
        claim="MixLN spreads PR_post over layers more than PreLN and PostLN do.",
        rule=(
            "Spread of PR_post over layers (standard deviation / mean): MixLN over PreLN, and MixLN over PostLN. "
            f"{OVER_WIDTHS}"
        ),
        effects=_layer_spread,
        rivals=Rivals(nulls_said(UNTRAINED, GAUSSIAN, between=True), _spread_rivals),
        caveat=f"MixLN has one PostLN layer of four here, three of twelve in the paper. {ONE_SEED_A_WIDTH}",
        revisions=(SPLIT_WIDTH,),
    ),
    Finding(
        id="placement-ppl",
        section="C.1",
        claim="GPT-2: PreLN has a lower perplexity than MixLN, and MixLN than PostLN.",
        rule=f"Final eval loss of the GELU models at D = 4d. {SEED_NOISE}",
        effects=_perplexity,
        rivals=Rivals(OF_LOSS),
        caveat=(
            "Which placement trains better depends on the share of warm-up, which is longer here than in the paper. "
            "PreLN is the standard block here; the authors' released code has another one under that name, which is "
            "shown beside it (one seed, short recipe), and which of the two the paper's numbers are of, it does not "
            "say."
        ),
    ),
)
