"""NerVE, section 3.4 and appendix C.1: what the place of the norm does to the use of width, and to perplexity."""

from __future__ import annotations

from dataclasses import asdict

from nervelab.aggregates.find import SHORT_RECIPE, Aggregates, over_widths
from nervelab.aggregates.run import Run, names
from nervelab.analysis.compare import paired_contrast, seed_noise
from nervelab.analysis.findings.effects import SEED_NOISE, between_models
from nervelab.analysis.findings.finding import Claim, Effect, Finding, above, below, between
from nervelab.analysis.quantities import EVAL_LOSS, LAYER_SPREAD, NORMALISED_PR, Quantity
from nervelab.paper.architectures import BY_PLACEMENT, LONG_WIDTHS, MIXLN_GELU, POSTLN_GELU, PRELN_GELU, RELEASED_GELU
from nervelab.statistics.across_runs import slope
from nervelab.statistics.estimate import Estimate
from nervelab.words.runs import outcome_over_widths

FLAT = 0.25
"""The exponent of PR_post / D over D within which return on width counts as flat, and below which as falling."""


def _return_on_width(aggregates: Aggregates) -> tuple[Effect, ...]:
    sweeps = {name: over_widths(aggregates, model) for name, model in BY_PLACEMENT.items()}
    contrasts = (
        ("PreLN", "MixLN", NORMALISED_PR),
        ("MixLN", "PostLN", NORMALISED_PR),
        ("MixLN", "PreLN", LAYER_SPREAD),
        ("MixLN", "PostLN", LAYER_SPREAD),
    )
    return (
        *(_over(aggregates, sweeps, *contrast) for contrast in contrasts),
        _exponent("PreLN", sweeps["PreLN"], between(-FLAT, FLAT), aggregates.confidence),
        _exponent("PostLN", sweeps["PostLN"], below(-FLAT), aggregates.confidence),
        _exponent("MixLN", sweeps["MixLN"], None, aggregates.confidence),
        *(_between_ends(aggregates, name) for name in ("PreLN", "PostLN")),
    )


def _over(
    aggregates: Aggregates,
    sweeps: dict[str, tuple[Run | None, ...]],
    one: str,
    other: str,
    quantity: Quantity,
) -> Effect:
    """One placement over another, width by width."""
    runs = (*sweeps[one], *sweeps[other])
    state = outcome_over_widths(runs)
    known = {"of": f"{one} / {other}", "quantity": quantity.name, "claim": above(1), "state": state}
    if state != "finished":
        return Effect(**known)
    pairs = list(zip(sweeps[one], sweeps[other], strict=True))
    noise = seed_noise(aggregates, quantity, **SHORT_RECIPE)
    estimate = paired_contrast(pairs, quantity, noise)
    values = [(quantity.of(run), quantity.of(against)) for run, against in pairs]
    by_width = [f"{run / against:.2f}" for run, against in values if run is not None and against is not None]
    return _effect(known, estimate, runs, note="by width: " + ", ".join(by_width))


def _exponent(name: str, runs: tuple[Run | None, ...], claim: Claim | None, confidence: float) -> Effect:
    """The slope of ln(PR_post / D) over ln D."""
    state = outcome_over_widths(runs)
    known = {"of": name, "quantity": "exponent of PR_post / D over D", "claim": claim, "state": state}
    if state != "finished":
        return Effect(**known)
    values = [NORMALISED_PR.of(run) for run in runs]
    return _effect(known, slope([run.width for run in runs], values, confidence), runs)


def _between_ends(aggregates: Aggregates, name: str) -> Effect:
    """The same slope by the long recipe, which trains fewer widths; nothing is claimed of it."""
    runs = tuple(aggregates.find(**BY_PLACEMENT[name], width_multiple=width) for width in LONG_WIDTHS)
    return _exponent(f"{name}, long recipe, D = 1d, 4d and 8d", runs, None, aggregates.confidence)


def _effect(known: dict, estimate: Estimate, runs: tuple[Run, ...], note: str = "") -> Effect:
    return Effect(**known, **asdict(estimate), runs=names(runs), note=note)


def _perplexity(aggregates: Aggregates) -> tuple[Effect, ...]:
    claimed = ((PRELN_GELU, MIXLN_GELU), (MIXLN_GELU, POSTLN_GELU))
    effects = [between_models(aggregates, one, other, EVAL_LOSS, below(0)) for one, other in claimed]
    released = RELEASED_GELU | SHORT_RECIPE
    if aggregates.find_seeds(**released):
        others = (PRELN_GELU | SHORT_RECIPE, MIXLN_GELU | SHORT_RECIPE)
        effects += [between_models(aggregates, released, each, EVAL_LOSS, None) for each in others]
    return tuple(effects)


PLACEMENT = (
    Finding(
        id="return-on-width",
        section="3.4",
        claim=(
            "PreLN turns width into usable dimensions: PR_post / D is PreLN > MixLN > PostLN, flat over D for PreLN, "
            "falling for PostLN, with the widest spread over layers for MixLN."
        ),
        rule=(
            "GELU models at D = 1d to 8d by the short recipe, all measured on the same tokens, after training. "
            "PR_post / D, mean over layers: PreLN over MixLN and MixLN over PostLN, averaged over the eight widths (of "
            "logarithms). Spread over layers (standard deviation / mean): MixLN over the others, likewise. Their "
            "intervals: Student's t times the pooled spread over seeds of a single run (table Seed noise) times the "
            "square root of 2/8. Exponent: the slope of ln(PR_post / D) over ln D, by least squares over the eight "
            f"widths with its t interval; within ± {FLAT} is flat, below −{FLAT} is falling. In the paper's Table 7 it "
            "is −0.12 for PreLN and −1.14 for PostLN between the ends. Three widths of each by the long recipe are "
            "shown beside."
        ),
        effects=_return_on_width,
        caveat=(
            "One seed at each width, and the spread over seeds of other models at 4d is taken for theirs. MixLN "
            "has one PostLN layer of four here, three of twelve in the paper. The released PreLN block was trained at "
            "4d only (see placement-ppl)."
        ),
    ),
    Finding(
        id="placement-ppl",
        section="C.1",
        claim="GPT-2: PreLN has a lower perplexity than MixLN, and MixLN than PostLN.",
        rule=f"Final eval loss of the GELU models at D = 4d. {SEED_NOISE}",
        effects=_perplexity,
        caveat=(
            "Which placement trains better depends on the share of warm-up, which is longer here than in the paper. "
            "PreLN is the standard block here; the authors' released code has another one under that name, which is "
            "shown beside it (one seed, short recipe), and which of the two the paper's numbers are of, it does not "
            "say."
        ),
    ),
)
