"""Every finding on made-up runs: as the paper claims, the reverse, lost in noise, absent and failed."""

import math
from dataclasses import replace
from functools import cache, partial

import numpy as np
import polars as pl
import pytest
from scipy import stats

from nervelab.analysis.findings.finding import Effect, above
from nervelab.analysis.findings.registry import FINDINGS
from nervelab.words.facts import facts, filled
from tests.analysis.finding_cases import BARE_GELU, BARE_LEAKY, BARE_RELU, CASES, GELU, RELU, scattered
from tests.support.made_up_runs import (
    ARCHITECTURES,
    LAYERS,
    MadeUp,
    at_4d,
    behaving,
    gathered,
    with_estimators,
)

BY_ID = {finding.id: finding for finding in FINDINGS}


# So many that none of their layers falling tells a share from 5 %.
EVERY_SEED = tuple(MadeUp(*model, width, seed) for model in ARCHITECTURES for width in (1, 7) for seed in range(1, 6))


@cache
def as_in_the_paper():
    return gathered(with_estimators())


def made_up(finding, *formulas):
    """The made-up study by these formulas, with more seeds where a finding counts layers."""
    more = EVERY_SEED if finding.id == "pr-every-layer" else ()
    return gathered((*with_estimators(), *more), *formulas)


@pytest.fixture(params=FINDINGS, ids=lambda finding: finding.id)
def finding(request):
    return request.param


def test_there_is_a_case_for_every_finding():
    assert list(CASES) == [finding.id for finding in FINDINGS]


def test_what_the_paper_claims_is_supported(finding):
    verdict = finding.decide(made_up(finding))
    assert verdict.verdict == "supported"
    assert {effect.holds for effect in verdict.effects if effect.claim is not None} == {"yes"}


def test_the_reverse_is_contradicted(finding):
    verdict = finding.decide(made_up(finding, *CASES[finding.id].reverse))
    assert verdict.verdict == "contradicted"


def test_at_the_papers_scale_a_claim_can_be_supported_and_contradicted(finding):
    """Twelve layers, every model on one seed: the noise of the scale that has seeds stands in."""
    runs = [replace(run, layers=12) for run in with_estimators() if run.seed == 0]
    at_paper = partial(gathered, runs, scale="paper")
    assert finding.decide(at_paper()).verdict == "supported"
    assert finding.decide(at_paper(*CASES[finding.id].reverse)).verdict == "contradicted"


def test_noise_is_inconclusive(finding):
    verdict = finding.decide(made_up(finding, *CASES[finding.id].noise))
    assert verdict.verdict == "inconclusive"
    assert "open" in {effect.holds for effect in verdict.effects}
    assert "no" not in {effect.holds for effect in verdict.effects}


def needed(finding, run: MadeUp) -> bool:
    case = CASES[finding.id]
    return (run.placement, run.activation) == case.needs and run.width_multiple == case.width


TAKE_ANY_RUN = ("early-ranking", "pr-every-layer")


def test_a_run_that_is_absent_means_not_run(finding):
    elsewhere = ("postln", "relu")
    others = [run for run in with_estimators() if not needed(finding, run)]
    if finding.id in TAKE_ANY_RUN:
        others = at_4d(elsewhere)
    verdict = finding.decide(gathered(others, *behaving({elsewhere: RELU})))
    assert verdict.verdict == "not run"
    assert "not run at this scale" in verdict.reason
    assert {effect.holds for effect in verdict.effects if effect.state == "not run at this scale"} <= {"open", ""}


@pytest.mark.parametrize("id", [id for id in CASES if id not in TAKE_ANY_RUN])
@pytest.mark.parametrize("outcome", ["stuck", "diverged"])
def test_a_run_that_failed_decides_nothing(id, outcome):
    finding = BY_ID[id]
    runs = [replace(run, outcome=outcome) if needed(finding, run) else run for run in with_estimators()]
    verdict = finding.decide(gathered(runs))
    assert verdict.verdict == "inconclusive"
    assert f"{outcome} at step 350" in verdict.reason
    for effect in verdict.effects:
        if effect.state != "finished":
            assert (effect.value, effect.low, effect.high) == (None, None, None)


def test_one_seed_alone_leaves_what_needs_seed_noise_open(finding):
    verdict = finding.decide(gathered(run for run in with_estimators() if run.seed == 0))
    single = {id for id in CASES if id.startswith(("r-", "early-", "sampling-", "return-", "width-"))}
    assert verdict.verdict == ("supported" if finding.id in single else "inconclusive")


def test_failed_configurations_are_left_out_of_a_ranking():
    runs = [replace(run, outcome="stuck") if run.activation == "geglu" else run for run in with_estimators()]
    verdict = BY_ID["early-ranking"].decide(gathered(runs))
    assert {effect.of for effect in verdict.effects} == {"64 configurations"}
    assert not any("geglu" in name for effect in verdict.effects for name in effect.runs)


def test_words_of_rules_and_caveats_can_be_filled(settings, finding):
    known = facts(as_in_the_paper().runs, settings)
    for text in (finding.rule, finding.caveat):
        assert "{" not in filled(text, known)


def effects(id: str, aggregates) -> dict[tuple[str, str], Effect]:
    return {(each.of, each.quantity): each for each in BY_ID[id].decide(aggregates).effects}


def test_the_share_of_the_gap_that_is_closed_is_shown():
    aggregates = as_in_the_paper()
    losses = {
        model: np.mean([run.row["eval_loss"] for run in aggregates.find_seeds(placement=model[0], activation=model[1])])
        for model in (GELU, BARE_GELU, BARE_RELU, BARE_LEAKY)
    }
    gap = losses[BARE_GELU] - losses[GELU]
    found = effects("normfree-gap", aggregates)
    quantity = "share of norm-free GELU's gap in eval loss that is closed"
    for model, words in ((BARE_RELU, "norm-free ReLU"), (BARE_LEAKY, "norm-free learnable leaky ReLU")):
        effect = found[f"{words} − norm-free GELU", quantity]
        assert effect.value == pytest.approx((losses[BARE_GELU] - losses[model]) / gap)
        assert effect.claim is None


def test_without_a_gap_no_share_of_it_is_shown():
    verdict = BY_ID["normfree-gap"].decide(gathered(with_estimators(), *CASES["normfree-gap"].reverse))
    assert len(verdict.effects) == 5


def test_the_exponents_of_width_are_those_planted():
    found = effects("width-exponents", as_in_the_paper())
    for placement, exponent in (("PreLN", 0), ("MixLN", -0.1), ("PostLN", -0.6)):
        effect = found[placement, "exponent of PR_post / D over D"]
        assert effect.value == pytest.approx(exponent, abs=0.02)
    assert found["MixLN", "exponent of PR_post / D over D"].claim is None


def test_a_width_that_failed_takes_the_whole_sweep_with_it():
    runs = [
        replace(run, outcome="diverged") if (run.placement, run.width_multiple) == ("postln", 8) else run
        for run in with_estimators()
    ]
    aggregates = gathered(runs)
    states = {of: effect.state for (of, _), effect in effects("width-exponents", aggregates).items()}
    assert (states["PreLN"], states["PostLN"]) == ("finished", "diverged at step 350")
    states = {of: effect.state for (of, _), effect in effects("return-on-width", aggregates).items()}
    assert states == {"PreLN / MixLN": "finished", "MixLN / PostLN": "diverged at step 350"}


def test_the_unclaimed_effects_of_early_ranking_decide_nothing():
    spectrum, loss = scattered(("se_pre", "se_post", "pr_pre"), by=2.0)
    verdict = BY_ID["early-ranking"].decide(gathered(with_estimators(), spectrum, loss))
    assert len(verdict.effects) == 15
    assert [effect.quantity for effect in verdict.effects if effect.claim is not None] == [
        "Spearman's r of PR_post after 25 % of training with final eval loss"
    ]
    assert verdict.verdict == "supported"


def test_an_inversion_is_of_correlations_over_widths_before_and_after():
    aggregates = as_in_the_paper()
    sweep = [aggregates.find(placement="none", activation="relu", width_multiple=width) for width in range(1, 9)]
    losses = [run.row["eval_loss"] for run in sweep]
    last = [run.spectra.filter(pl.col("step") == 1000) for run in sweep]
    found = BY_ID["r-inversion"].decide(aggregates).effects[:6]
    shown = [effect for effect in found if effect.claim is None]
    for effect, metric in zip(shown, ("se_post", "se_pre", "pr_post", "pr_pre"), strict=True):
        expected = stats.pearsonr([each[metric].mean() for each in last], losses)
        ends = expected.confidence_interval(0.95)
        assert (effect.value, effect.low, effect.high) == pytest.approx((expected.statistic, ends.low, ends.high))
        assert effect.quantity == f"Pearson's r of {metric[:2].upper()}{metric[2:]} with final eval loss"
        assert effect.runs == tuple(run.row["name"] for run in sweep)
    assert found[0].value == pytest.approx(shown[0].value + abs(shown[1].value))
    assert found[3].value == pytest.approx(shown[2].value + abs(shown[3].value))


def test_there_is_no_inversion_where_what_is_before_predicts_too():
    aggregates = gathered(with_estimators(), *behaving({BARE_RELU: GELU, BARE_LEAKY: GELU}))
    verdict = BY_ID["r-inversion"].decide(aggregates)
    assert verdict.verdict == "inconclusive"
    assert {effect.holds for effect in verdict.effects if effect.claim is not None} == {"open"}


def test_of_two_correlations_within_a_tie_neither_is_the_stronger():
    claim = above(0, tie=0.02)
    ends = {"yes": (0.021, 0.03), "no": (-0.03, -0.021), "open": (-0.02, 0.02)}
    for holds, (low, high) in ends.items():
        assert Effect("a model", "r", claim, low=low, high=high).holds == holds


def test_squared_spectra_are_shown_beside_and_decide_nothing():
    found = BY_ID["sampling-fidelity"].decide(as_in_the_paper())
    squared = [effect for effect in found.effects if effect.of.endswith("squared")]
    assert [effect.state for effect in squared] == ["not run at this scale"] * 4
    assert found.verdict == "supported"
    run = MadeUp(estimators=(*with_estimators()[-1].estimators, "randsvd-1/6-squared"))
    found = BY_ID["sampling-fidelity"].decide(gathered([run]))
    squared = [effect for effect in found.effects if effect.of.endswith("squared")]
    assert [effect.claim for effect in squared] == [None] * 4
    assert all(effect.low < effect.value < effect.high < 1 for effect in squared)
    assert found.verdict == "supported"


def test_pre_activation_metrics_of_compensating_models_are_shown_but_not_claimed():
    for (of, quantity), effect in effects("r-configurations", as_in_the_paper()).items():
        unclaimed = "_pre" in quantity and of.startswith(("norm-free ReLU", "norm-free learnable"))
        assert (effect.claim is None) is unclaimed


UP, DOWN, MORE, LESS = (0, math.inf), (-math.inf, 0), (1, math.inf), (-math.inf, 1)
SHOWN = None
CLAIMED = {
    "reinjection-se": [UP] * 4,
    "reinjection-pr": [MORE] * 4,
    "flattening-eee": [DOWN] * 4,
    "pr-every-layer": [(-math.inf, 0.05)] * 4,
    "js-bands": [MORE] * 2,
    "js-fading": [LESS] * 2,
    "gelu-broader": [MORE],
    "relu-earlier": [UP],
    "gelu-better": [DOWN],
    "normfree-inertia": [LESS, LESS, UP] * 2,
    "normfree-inertia-levels": [(0.95, math.inf), (0.95, math.inf), (-math.inf, 0.01), (0.8, 1.25)],
    "normfree-compensation": [MORE] * 6,
    "normfree-eee-level": [(0.3, 0.5)] * 2,
    "normfree-gap": [UP, DOWN, DOWN, DOWN, DOWN, SHOWN, SHOWN],
    "return-on-width": [MORE] * 2,
    "width-exponents": [(-0.25, 0.25), (-math.inf, -0.25), SHOWN, SHOWN, SHOWN],
    "width-layer-spread": [MORE] * 2,
    "placement-ppl": [DOWN, DOWN],
    "r-checkpoints-pre": [(-math.inf, -0.9), DOWN] * 2,
    "r-checkpoints-post": [*[(-math.inf, -0.8), DOWN] * 2, (0.02, math.inf)],
    "r-configurations": [*[DOWN] * 20, *[SHOWN, DOWN] * 4],
    "r-inversion": [(-math.inf, -0.02), SHOWN, SHOWN] * 4,
    "early-ranking": [*[SHOWN] * 13, (-math.inf, -0.7), SHOWN],
    "sampling-fidelity": [(-math.inf, 1), (-math.inf, 1), SHOWN] * 4,
    "sampling-diagnostic": [(-0.1, 0.1), (-0.1, 0.1), (0.3, math.inf), (0.3, math.inf)] * 4,
}


def test_what_is_claimed_of_each_effect(finding):
    claims = [effect.claim for effect in finding.decide(as_in_the_paper()).effects]
    assert [None if claim is None else (claim.low, claim.high) for claim in claims] == CLAIMED[finding.id]


def test_which_model_stands_before_the_sign():
    between = {
        "gelu-broader": ["PreLN GELU / PreLN ReLU"],
        "relu-earlier": ["PreLN GELU − PreLN ReLU"],
        "gelu-better": ["PreLN GELU − PreLN ReLU"],
        "placement-ppl": ["PreLN GELU − MixLN GELU", "MixLN GELU − PostLN GELU"],
        "return-on-width": ["PreLN / MixLN", "MixLN / PostLN"],
        "width-layer-spread": ["MixLN / PreLN", "MixLN / PostLN"],
        "normfree-gap": [
            "norm-free GELU − PreLN GELU",
            "PreLN GELU − norm-free ReLU",
            "norm-free ReLU − norm-free GELU",
            "PreLN GELU − norm-free learnable leaky ReLU",
            "norm-free learnable leaky ReLU − norm-free GELU",
        ],
    }
    for id, expected in between.items():
        found = [effect.of for effect in BY_ID[id].decide(as_in_the_paper()).effects]
        assert found[: len(expected)] == expected


def test_the_released_block_is_shown_where_it_was_trained_and_decides_nothing():
    without = BY_ID["placement-ppl"].decide(as_in_the_paper())
    released = ("released", "gelu")
    runs = [*with_estimators(), MadeUp(*released)]
    found = BY_ID["placement-ppl"].decide(gathered(runs, *behaving({released: GELU})))
    shown = [effect for effect in found.effects if effect.claim is None]
    assert [effect.of for effect in shown] == [
        "released PreLN block GELU − PreLN GELU",
        "released PreLN block GELU − MixLN GELU",
    ]
    assert (found.verdict, found.reason) == (without.verdict, without.reason)


@pytest.mark.parametrize(("architectures", "interval"), [(4, False), (5, True)])
def test_a_ranking_of_few_architectures_has_no_interval(architectures, interval):
    first = [run for run in with_estimators() if run.seed == 0 and len(run.estimators) == 1]
    verdict = BY_ID["early-ranking"].decide(gathered(first[: 8 * architectures]))
    for effect in verdict.effects:
        assert effect.of == f"{8 * architectures} configurations"
        assert effect.value is not None
        assert (effect.low is not None) is interval
    assert verdict.verdict == ("supported" if interval else "inconclusive")


def test_a_ratio_of_errors_is_the_geometric_mean_over_metrics_and_checkpoints():
    aggregates = as_in_the_paper()
    run = MadeUp(estimators=with_estimators()[-1].estimators)
    window = aggregates.spectra.filter((pl.col("name") == run.name) & (pl.col("step") >= 150)).sort("step", "layer")
    logs = []
    for metric in ("se_pre", "se_post", "pr_pre", "pr_post", "eee_pre", "eee_post", "js"):
        full, sample, low_rank = (
            window.filter(estimator=each)[metric].to_numpy().reshape(-1, LAYERS)
            for each in ("full", "sampling-0.05", "lanczos-1/6")
        )
        errors = [(abs(each - full) / abs(full)).mean(axis=1) for each in (sample, low_rank)]
        logs.append(np.log(errors[0] / errors[1]))
    effect = BY_ID["sampling-fidelity"].decide(aggregates).effects[1]
    assert effect.of == "5 % of tokens / Lanczos, rank D/6"
    assert effect.value == pytest.approx(np.exp(np.mean(logs)))
    assert effect.low < effect.value < effect.high < 1


def test_a_shift_of_a_correlation_is_named_with_both_its_ends():
    effect = BY_ID["sampling-diagnostic"].decide(as_in_the_paper()).effects[2]
    assert (effect.of, effect.quantity) == ("PreLN GELU, 5 % of tokens", "r of SE_post less that of the full spectrum")
    estimated, full = map(float, effect.note.split(" against "))
    assert effect.value == pytest.approx(estimated - full, abs=1e-3)
    assert full < 0 < estimated
