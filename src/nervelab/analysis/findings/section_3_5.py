"""NerVE, section 3.5: whether spectra predict generalisation."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial

import numpy as np

from nervelab.aggregates.find import Aggregates, over_widths
from nervelab.aggregates.run import Run, names
from nervelab.aggregates.window import final_pairs, pearson_over_checkpoints
from nervelab.analysis.early_ranking import LOSS, SHARES, configurations, early_ranking
from nervelab.analysis.findings.finding import Claim, Effect, Finding, above, below
from nervelab.paper.architectures import ARCHITECTURES, NORMFREE_LRELU, NORMFREE_RELU, PRELN_GELU, WIDTHS, Model
from nervelab.statistics.across_runs import mean_correlation, mean_of, pearson_of, spearman_of
from nervelab.statistics.estimate import Estimate
from nervelab.words.labels import NOT_RUN, WINDOW
from nervelab.words.metrics import heading
from nervelab.words.runs import named, outcome_over_widths

TRACKS = {"pre": -0.9, "post": -0.8}
"""Pearson's r over checkpoints from which on a metric "tracks" the loss; the paper has -0.97 and -0.84 or stronger."""
PREDICTS = -0.7
"""Pearson's r over widths from which on a metric "predicts" perplexity; what is weaker does not."""
RANKS = -0.7
"""Spearman's r from which on a metric "ranks" configurations."""
FEWEST = 16
"""Configurations below which no interval is given for a ranking."""
PREDICTOR, DECISIVE = "pr_post", 0.25
"""What decides early ranking: the paper's own strongest metric, at the last of the shares."""


def _sweep(model: Model) -> str:
    return f"{named(model)}, D = {WIDTHS[0]}d to {WIDTHS[-1]}d"


def _over_checkpoints(aggregates: Aggregates, *, site: str) -> tuple[Effect, ...]:
    runs = over_widths(aggregates, PRELN_GELU)
    effects = []
    for metric in (f"se_{site}", f"pr_{site}"):
        rs = _correlations(runs, metric)
        known = {"of": _sweep(PRELN_GELU), "state": outcome_over_widths(runs), "runs": names(runs)}
        tracks = below(TRACKS[site])
        mean = Estimate() if rs is None else mean_correlation(rs, aggregates.confidence)
        words = f"Pearson's r of {heading(metric)} over checkpoints"
        effects.append(_effect(known, f"{words}, mean over widths", tracks, mean, by_width=rs))
        weakest = Estimate() if rs is None else Estimate(max(rs), max(rs), max(rs))
        effects.append(_effect(known, f"{words}, weakest width", below(0), weakest))
    return tuple(effects)


def _post_over_checkpoints(aggregates: Aggregates) -> tuple[Effect, ...]:
    runs = over_widths(aggregates, PRELN_GELU)[1:]
    pr, se = (_correlations(runs, metric) for metric in ("pr_post", "se_post"))
    known = {
        "of": f"{named(PRELN_GELU)}, D = {WIDTHS[1]}d to {WIDTHS[-1]}d",
        "state": outcome_over_widths(runs),
        "runs": names(runs),
    }
    differences = None
    if pr is not None and se is not None:
        differences = list(np.arctanh(se) - np.arctanh(pr))
    estimate = Estimate() if differences is None else mean_of(differences, aggregates.confidence)
    words = "r of SE_post less r of PR_post over checkpoints (Fisher's z), mean over widths"
    return (
        *_over_checkpoints(aggregates, site="post"),
        _effect(known, words, above(0), estimate, by_width=differences),
    )


def _over_configurations(aggregates: Aggregates) -> tuple[Effect, ...]:
    effects = []
    for model in ARCHITECTURES:
        runs = over_widths(aggregates, model)
        inverted = model in (NORMFREE_RELU, NORMFREE_LRELU)
        for metric in ("se_pre", "se_post", "pr_pre", "pr_post"):
            claim = None if inverted and metric.endswith("pre") else below(0)
            known = {"of": _sweep(model), "state": outcome_over_widths(runs), "runs": names(runs)}
            estimate = Estimate()
            if known["state"] == "finished":
                estimate = spearman_of(*final_pairs(runs, metric), aggregates.confidence)
            effects.append(_effect(known, f"Spearman's r of {heading(metric)} with final eval loss", claim, estimate))
    return tuple(effects)


def _inversion(aggregates: Aggregates) -> tuple[Effect, ...]:
    effects = []
    for model in (NORMFREE_RELU, NORMFREE_LRELU):
        runs = over_widths(aggregates, model)
        known = {"of": _sweep(model), "state": outcome_over_widths(runs), "runs": names(runs)}
        for metric, claim in (
            ("se_pre", above(PREDICTS)),
            ("pr_pre", above(PREDICTS)),
            ("se_post", below(PREDICTS)),
            ("pr_post", below(PREDICTS)),
        ):
            estimate = Estimate()
            if known["state"] == "finished":
                estimate = pearson_of(*final_pairs(runs, metric), aggregates.confidence)
            effects.append(_effect(known, f"Pearson's r of {heading(metric)} with final eval loss", claim, estimate))
    return tuple(effects)


def _early(aggregates: Aggregates) -> tuple[Effect, ...]:
    runs = configurations(aggregates)
    effects = []
    for share in SHARES:
        for predictor in ("se_pre", "se_post", "pr_pre", "pr_post", LOSS):
            decisive = (predictor, share) == (PREDICTOR, DECISIVE)
            ranking = early_ranking(aggregates, share, predictor)
            estimate = ranking.correlation if ranking.configurations >= FEWEST else Estimate(ranking.correlation.value)
            name = "eval loss" if predictor == LOSS else heading(predictor)
            known = {
                "of": f"{ranking.configurations} configurations",
                "state": "finished" if runs else NOT_RUN,
                "runs": names(runs) if decisive else (),
            }
            words = f"Spearman's r of {name} after {100 * share:.0f} % of training with final eval loss"
            effects.append(_effect(known, words, below(RANKS) if decisive else None, estimate))
    return tuple(effects)


def _correlations(runs: tuple[Run | None, ...], metric: str) -> list[float] | None:
    """Pearson's r of every run of a sweep; None where one of them has none."""
    if outcome_over_widths(runs) != "finished":
        return None
    rs = [pearson_over_checkpoints(run, metric) for run in runs]
    return None if None in rs else rs


def _effect(
    known: dict,
    quantity: str,
    claim: Claim | None,
    estimate: Estimate,
    *,
    by_width: list[float] | None = None,
) -> Effect:
    listed = "by width: " + ", ".join(f"{value:+.2f}" for value in by_width) if by_width else ""
    return Effect(**known, **asdict(estimate), quantity=quantity, claim=claim, note=listed)


CHECKPOINTS = (
    "Pearson's r of the mean over layers against the probe eval loss at the same step, over the checkpoints of one "
    f"run, in the eight widths of PreLN GELU. {WINDOW} The whole run is beside it in Table 3. Tracking: the mean "
    "over the widths, as Fisher's z with the t interval over those runs, is "
)
DRIFT = (
    "Both series drift over training, so a high r is easily had: it says that they move together, not that one "
    "explains the other. With the first checkpoints included signs turn: see the whole run in Table 3. At laptop scale "
    "warm-up lasts 20 % of the steps, so the window begins within it."
)

PREDICTION = (
    Finding(
        id="r-checkpoints-pre",
        section="3.5",
        claim="Pre-activation SE and PR track the eval loss over training, at every width.",
        rule=f"{CHECKPOINTS}{TRACKS['pre']} or stronger, and in no width is r positive: no correlation "
        "at all contradicts as well. The paper has −0.97 or stronger.",
        effects=partial(_over_checkpoints, site="pre"),
        caveat=DRIFT,
    ),
    Finding(
        id="r-checkpoints-post",
        section="3.5",
        claim="Post-activation SE and PR do too, PR_post more so from D = 2d on.",
        rule=(
            f"{CHECKPOINTS}{TRACKS['post']} or stronger, and in no width is r positive; and from D = 2d on r of "
            "PR_post is below r of SE_post, as the mean over widths of the difference of Fisher's z with its t "
            "interval. The paper has −0.84 or stronger."
        ),
        effects=_post_over_checkpoints,
        caveat=f"{DRIFT} Where both r are near −1, which of them is the stronger means little.",
    ),
    Finding(
        id="r-configurations",
        section="3.5",
        claim="Metrics after training rank the widths of an architecture by perplexity.",
        rule=(
            "Spearman's r over D = 1d to 8d of the mean over layers after training against the final eval loss, for "
            "each architecture, with Fieller's interval: below 0 for SE and PR, before and after the nonlinearity "
            "(in norm-free ReLU variants after it only: see r-inversion). At the 95 % level that takes −0.72 over "
            "eight widths."
        ),
        effects=_over_configurations,
        caveat=(
            "One seed at each width but 4d. Everything that grows with width and everything that falls with it "
            "correlates: r says nothing about models of equal size."
        ),
    ),
    Finding(
        id="r-inversion",
        section="3.5",
        claim=(
            "In norm-free ReLU variants the post-activation spectrum predicts perplexity over widths, the "
            "pre-activation one does not."
        ),
        rule=(
            "Pearson's r over the eight widths of SE and PR after training with the final eval loss, with Fisher's "
            f"interval, in norm-free ReLU and leaky ReLU: below {PREDICTS} after the nonlinearity (it predicts), "
            "above it before the nonlinearity (it does not)."
        ),
        effects=_inversion,
        caveat="Everything that grows with width and everything that falls with it correlates.",
        revisions=(
            "each r is held against a bound since a reading of the first full run; before, only the difference of "
            "the two counted, which left the claim open where both predict.",
        ),
    ),
    Finding(
        id="early-ranking",
        section="3.5",
        claim="Short preliminary runs with NerVE metrics rank architectures without training each to convergence.",
        rule=(
            "Spearman's r with the final eval loss over the seven architectures of Table 3 and the two other "
            f"placements, at every width (seed 0). Decisive is PR_post, mean over layers, after {100 * DECISIVE:.0f} % "
            f"of training: its interval (Fieller's) lies below {RANKS}. The other metrics, the earlier shares and, as "
            f"a rival predictor, the eval loss at the same step are shown and decide nothing. Below {FEWEST} "
            "configurations there is no interval."
        ),
        effects=_early,
        caveat=(
            "Configurations are not a random sample: widths of one architecture resemble one another, so the interval "
            "is narrower than it should be. PR grows with D almost by construction, and so does quality. A "
            "configuration that failed is left out. At laptop scale warm-up lasts 20 % of the steps: the first two "
            "shares lie within it. The eval loss at the same step is the rival that costs nothing: a metric is worth "
            "its price only where its r is beyond that of the loss."
        ),
    ),
)
