"""NerVE, section 3.5: whether spectra predict generalisation."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from functools import partial

import numpy as np
from scipy.stats import rankdata

from nervelab.aggregates.find import Aggregates, over_widths
from nervelab.aggregates.run import Run, names
from nervelab.aggregates.window import (
    final_pairs,
    given_log_step,
    of_changes,
    pairs_with_eval_loss,
    pearson_over_checkpoints,
)
from nervelab.analysis.early_ranking import LOSS, SHARES, at_share, configurations, early_ranking, first_measured
from nervelab.analysis.findings.finding import Claim, Effect, Finding, Rivals, above, below
from nervelab.analysis.findings.rivals import NULLS, probed_over_widths
from nervelab.paper.architectures import ARCHITECTURES, NORMFREE_LRELU, NORMFREE_RELU, PRELN_GELU, WIDTHS, Model
from nervelab.probefiles import UNTRAINED
from nervelab.statistics.across_runs import difference_of, mean_correlation, mean_of, pearson_of, spearman_of
from nervelab.statistics.clusters import FEWEST, over_clusters, partial_spearman
from nervelab.statistics.estimate import Estimate
from nervelab.statistics.within_run import correlate
from nervelab.words.labels import NOT_RUN, WINDOW
from nervelab.words.metrics import heading
from nervelab.words.runs import named, outcome_over_widths

TRACKS = {"pre": -0.9, "post": -0.8}
"""Pearson's r over checkpoints from which on a metric "tracks" the loss; the paper has -0.97 and -0.84 or stronger."""
TIE = 0.02
"""By how much two r must differ before one counts as the stronger."""
RANKS = -0.7
"""Spearman's r from which on a metric "ranks" configurations."""
WIDTH = "D itself"
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
        weakest = Estimate() if rs is None else _with_interval(runs[int(np.argmax(rs))], metric, aggregates)
        effects.append(_effect(known, f"{words}, weakest width", below(0), weakest))
    return tuple(effects)


def _with_interval(run: Run, metric: str, aggregates: Aggregates) -> Estimate:
    """Pearson's r over the checkpoints of one run with its block-bootstrap interval."""
    found = correlate(pairs_with_eval_loss(run, metric, whole=False), aggregates.confidence, aggregates.draws)
    return Estimate(found.pearson, *(found.pearson_interval or (None, None)))


def _post_over_checkpoints(aggregates: Aggregates) -> tuple[Effect, ...]:
    runs = over_widths(aggregates, PRELN_GELU)[1:]
    pr, se = (_correlations(runs, metric) for metric in ("pr_post", "se_post"))
    known = {
        "of": f"{named(PRELN_GELU)}, D = {WIDTHS[1]}d to {WIDTHS[-1]}d",
        "state": outcome_over_widths(runs),
        "runs": names(runs),
    }
    differences = None if pr is None or se is None else list(np.subtract(se, pr))
    estimate = Estimate() if differences is None else mean_of(differences, aggregates.confidence)
    words = "r of SE_post less r of PR_post over checkpoints, mean over widths"
    return (
        *_over_checkpoints(aggregates, site="post"),
        _effect(known, words, above(0, tie=TIE), estimate, by_width=differences),
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
        for metric in ("se", "pr"):
            effects += _inverted(known, metric, runs, aggregates.confidence)
    return tuple(effects)


def _inverted(known: dict, metric: str, runs: tuple[Run | None, ...], confidence: float) -> Iterator[Effect]:
    """Whether r with the final eval loss over widths is negative and the stronger after the nonlinearity; both r."""
    post, pre, stronger = heading(f"{metric}_post"), heading(f"{metric}_pre"), Estimate()
    levels = {post: Estimate(), pre: Estimate()}
    if known["state"] == "finished":
        (after, loss), (before, _) = (final_pairs(runs, f"{metric}_{site}") for site in ("post", "pre"))
        stronger = _beyond(after, before, loss, confidence)
        levels = {post: pearson_of(after, loss, confidence), pre: pearson_of(before, loss, confidence)}
    words = f"Pearson's r of {post} with final eval loss, plus the size of that of {pre}"
    yield _effect(known, words, below(0, tie=TIE), stronger)
    for name, level in levels.items():
        yield _effect(known, f"Pearson's r of {name} with final eval loss", None, level)


def _beyond(values: list[float], others: list[float], losses: list[float], confidence: float) -> Estimate:
    """r of the values with the losses plus |r| of the others: below 0 where the first is negative and the stronger."""
    sign = -1.0 if (pearson_of(others, losses, confidence).value or 0.0) > 0 else 1.0
    return difference_of(values, [sign * other for other in others], losses, confidence)


def _early(aggregates: Aggregates) -> tuple[Effect, ...]:
    runs = configurations(aggregates)
    effects = []
    for share in SHARES:
        for predictor in ("se_pre", "se_post", "pr_pre", "pr_post", LOSS):
            decisive = (predictor, share) == (PREDICTOR, DECISIVE)
            ranking = early_ranking(aggregates, share, predictor)
            estimate = ranking.correlation
            name = "eval loss" if predictor == LOSS else heading(predictor)
            known = {
                "of": f"{ranking.configurations} configurations",
                "state": "finished" if runs else NOT_RUN,
                "runs": names(runs) if decisive else (),
            }
            words = f"Spearman's r of {name} after {100 * share:.0f} % of training with final eval loss"
            effects.append(_effect(known, words, below(RANKS) if decisive else None, estimate))
    return tuple(effects)


def _beside_steps(aggregates: Aggregates, *, site: str) -> tuple[Effect, ...]:
    """r over checkpoints of what log(step) leaves, and of what changes from checkpoint to checkpoint."""
    runs = over_widths(aggregates, PRELN_GELU)
    known = {"of": _sweep(PRELN_GELU), "state": outcome_over_widths(runs), "runs": names(runs)}
    effects = []
    for metric in (f"se_{site}", f"pr_{site}"):
        for rival, words, r_of in (
            ("log(step)", "given log(step)", given_log_step),
            ("a common drift", "of the changes between checkpoints", of_changes),
        ):
            rs = [r_of(run, metric) for run in runs] if known["state"] == "finished" else [None]
            mean = Estimate() if None in rs else mean_correlation(rs, aggregates.confidence)
            quantity = f"Pearson's r of {heading(metric)} over checkpoints {words}, mean over widths"
            listed = None if None in rs else rs
            effects.append(replace(_effect(known, quantity, below(0), mean, by_width=listed), rival=rival))
    return tuple(effects)


def _ranking_rivals(aggregates: Aggregates) -> tuple[Effect, ...]:
    """How metrics rank the widths of an architecture given D, and given what the untrained network has."""
    sweeps = [over_widths(aggregates, model) for model in ARCHITECTURES]
    every = tuple(run for sweep in sweeps for run in sweep)
    effects = []
    for metric in ("se_post", "pr_post"):
        for rival, words, state, given in (
            (WIDTH, "D", outcome_over_widths(every), lambda run, _: float(run.width)),
            (NULLS[UNTRAINED], f"the untrained {heading(metric)}", probed_over_widths(every), _untrained),
        ):
            estimate = Estimate()
            if state == "finished":
                rows = [_ranked(sweep, metric, given) for sweep in sweeps]
                estimate = over_clusters(rows, partial_spearman, aggregates.confidence, aggregates.draws)
            known = {"of": f"{len(sweeps)} architectures", "state": state, "runs": names(every)}
            quantity = (
                f"Spearman's partial r of {heading(metric)} with final eval loss given {words}, within architectures"
            )
            effects.append(replace(_effect(known, quantity, below(0), estimate), rival=rival))
    return tuple(effects)


def _untrained(run: Run, metric: str) -> float:
    return float(run.probed(UNTRAINED, metric).mean())


def _ranked(runs: tuple[Run, ...], metric: str, given: Callable[[Run, str], float]) -> np.ndarray:
    """The ranks among the widths of one architecture of a metric, of the loss and of what is given, shape [N, 3]."""
    values, losses = final_pairs(runs, metric)
    return rankdata(np.column_stack([values, losses, [given(run, metric) for run in runs]]), axis=0)


def _inversion_rivals(aggregates: Aggregates) -> tuple[Effect, ...]:
    effects = []
    for model in (NORMFREE_RELU, NORMFREE_LRELU):
        runs = over_widths(aggregates, model)
        known = {"of": _sweep(model), "state": outcome_over_widths(runs), "runs": names(runs)}
        for metric in ("se_post", "pr_post"):
            beside = Estimate()
            if known["state"] == "finished":
                values, losses = final_pairs(runs, metric)
                beside = _beyond(values, [math.log(run.width) for run in runs], losses, aggregates.confidence)
            words = f"Pearson's r of {heading(metric)} with final eval loss, plus the size of that of ln D"
            effects.append(replace(_effect(known, words, below(0), beside), rival=WIDTH))
    return tuple(effects)


def _early_rivals(aggregates: Aggregates) -> tuple[Effect, ...]:
    given = (
        ("the early loss", "the eval loss at that step", lambda run: at_share(run, DECISIVE, LOSS)),
        (NULLS[UNTRAINED], "PR_post at the first measured step", lambda run: first_measured(run, PREDICTOR)),
        (WIDTH, "D", lambda run: float(run.width)),
    )
    effects = []
    for rival, words, other in given:
        ranking = early_ranking(aggregates, DECISIVE, PREDICTOR, given=other)
        estimate = ranking.correlation
        known = {
            "of": f"{ranking.configurations} configurations",
            "state": "finished" if ranking.configurations else NOT_RUN,
        }
        quantity = f"Spearman's partial r of {heading(PREDICTOR)} after {100 * DECISIVE:.0f} % given {words}"
        effects.append(replace(_effect(known, quantity, below(0), estimate), rival=rival))
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

BESIDE_STEPS = (
    "Rivals: log(step), as anything that drifts with the steps correlates with the loss; given it, r is to be below "
    "0. A common drift; r of the changes from one checkpoint to the next is to be below 0. Both as the mean over the "
    "widths, as Fisher's z with the t interval over those runs."
)

PREDICTION = (
    Finding(
        id="r-checkpoints-pre",
        section="3.5",
        claim="Pre-activation SE and PR track the eval loss over training, at every width.",
        rule=(
            f"{CHECKPOINTS}{TRACKS['pre']} or stronger, and in no width is r positive (the weakest width, with its "
            "block-bootstrap interval): no correlation at all contradicts as well. The paper has −0.97 or stronger."
        ),
        effects=partial(_over_checkpoints, site="pre"),
        rivals=Rivals(BESIDE_STEPS, partial(_beside_steps, site="pre")),
        caveat=DRIFT,
    ),
    Finding(
        id="r-checkpoints-post",
        section="3.5",
        claim="Post-activation SE and PR do too, PR_post more so from D = 2d on.",
        rule=(
            f"{CHECKPOINTS}{TRACKS['post']} or stronger, and in no width is r positive; and from D = 2d on r of "
            f"PR_post lies below r of SE_post by more than {TIE}, as the mean over widths of the difference with its "
            "t interval; what is within that of 0 is a tie and decides nothing. The paper has −0.84 or stronger."
        ),
        effects=_post_over_checkpoints,
        rivals=Rivals(BESIDE_STEPS, partial(_beside_steps, site="post")),
        caveat=DRIFT,
        revisions=(
            "which r is the stronger is judged in r, with a tie, since the rules were reviewed: before, on Fisher's "
            "scale, −0.997 against −0.992 contradicted the claim.",
        ),
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
        rivals=Rivals(
            "D itself, and the untrained network (by the probe, of the same seed): Spearman's partial r of SE_post "
            "and of PR_post with the loss given D, or given the untrained network's metric, over ranks within each "
            "architecture, is to be below 0, with an interval by resampling architectures.",
            _ranking_rivals,
        ),
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
            "Over the eight widths of norm-free ReLU and of norm-free leaky ReLU, after training, of SE and of PR: "
            "Pearson's r with the final eval loss after the nonlinearity, plus the size of that before it, is below "
            f"0 by more than {TIE}, that is, r is negative after the nonlinearity and stronger there than before it, "
            "with Zou's interval for two correlations that share a variable. Both r are shown. Of eight widths an "
            "interval is about ± 1 wide unless both r are strong."
        ),
        effects=_inversion,
        rivals=Rivals(
            "D itself: Pearson's r with the loss of the metric after the nonlinearity, plus the size of that of ln "
            "D, is to be below 0, with Zou's interval.",
            _inversion_rivals,
        ),
        caveat="Everything that grows with width and everything that falls with it correlates.",
        revisions=(
            "each r was held against a bound of −0.7 since a reading of the first full run; over eight widths that "
            "asks for r beyond −0.94 on one side and near 0 on the other. Since the rules were reviewed which is the "
            "stronger decides.",
        ),
    ),
    Finding(
        id="early-ranking",
        section="3.5",
        claim="Short preliminary runs with NerVE metrics rank architectures without training each to convergence.",
        rule=(
            "Spearman's r with the final eval loss over the seven architectures of Table 3 and the two other "
            f"placements, at every width (seed 0). Decisive is PR_post, mean over layers, after {100 * DECISIVE:.0f} % "
            f"of training: its interval, by resampling architectures (widths of one are no independent "
            f"configurations), lies below {RANKS}. The other metrics, the earlier shares and, as a rival predictor, "
            f"the eval loss at the same step are shown and decide nothing. Below {FEWEST} architectures there is no "
            "interval."
        ),
        effects=_early,
        rivals=Rivals(
            "Given each of these, Spearman's partial r of PR_post after "
            f"{100 * DECISIVE:.0f} % of training with the final loss is to be below 0, with an interval by resampling "
            "architectures: the eval loss at the same step, PR_post at the first measured step, D itself.",
            _early_rivals,
        ),
        caveat=(
            "The nine architectures are not a random sample of any. PR grows with D almost by construction, and so "
            "does quality: see what is left beside D itself. A "
            "configuration that failed is left out. At laptop scale warm-up lasts 20 % of the steps: the first two "
            "shares lie within it. The eval loss at the same step is the rival that costs nothing: a metric is worth "
            "its price only where its r is beyond that of the loss."
        ),
    ),
)
