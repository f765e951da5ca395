"""Claims beside what an untrained network, a Gaussian, the rank bound, log(step) and others show as well."""

import re
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from nervelab.analysis.findings.finding import FATES, Effect, Finding, Rivals, above
from nervelab.analysis.findings.registry import FINDINGS
from nervelab.analysis.findings.rivals import NULLS, Probed, beyond, compared, layer_mean, of_null
from nervelab.paper.architectures import PRELN_GELU, PRELN_RELU
from nervelab.probefiles import GAUSSIAN, SHUFFLED, TRAINED, UNTRAINED
from nervelab.words.labels import NOT_PROBED, NOT_RUN
from tests.support.made_up_runs import MadeUp, gathered, paper_null, paper_spectrum, with_estimators

BY_ID = {finding.id: finding for finding in FINDINGS}


def rival(name: str, low: float, high: float, state: str = "finished") -> Effect:
    return Effect("a model", "what is left", above(0), state=state, value=low, low=low, high=high, rival=name)


@pytest.mark.parametrize(
    ("rivals", "said"),
    [
        ([], ""),
        ([rival("A", 1, 2), rival("A", 1, 2), rival("B", 0.1, 1)], "not explained by A and B"),
        ([rival("A", -2, -1)], "explained as well by A"),
        ([rival("A", -1, 1)], "not told apart from A (0 of 1 beyond it)"),
        ([rival("A", 1, 2), rival("A", -1, 1)], "not told apart from A (1 of 2 beyond it)"),
        ([rival("A", 1, 2), rival("A", -2, -1)], "not told apart from A (1 of 2 beyond it)"),
        (
            [rival("A", -1, 1), rival("B", -2, -1), rival("C", 1, 2), rival("D", 1, 2), rival("E", 1, 2)],
            "not explained by C, D and E; explained as well by B; not told apart from A (0 of 1 beyond it)",
        ),
        ([rival("A", 1, 2, NOT_PROBED), rival("B", 1, 2)], f"not explained by B; {NOT_PROBED}: A"),
        ([rival("A", 1, 2), rival("A", 1, 2, NOT_RUN)], f"{NOT_RUN}: A"),
    ],
)
def test_a_supported_claim_says_which_rivals_it_survives(rivals, said):
    held = Effect("a model", "a quantity", above(0), low=1, high=2)
    finding = Finding("id", "3.1", "A claim.", "A rule.", lambda _: (held,), Rivals("Some.", lambda _: tuple(rivals)))
    verdict = finding.decide(None)
    assert (verdict.verdict, verdict.survival) == ("supported", said)
    assert verdict.everything == (held, *rivals)


@pytest.mark.parametrize("ends", [(-1, 1), (-2, -1)])
def test_rivals_change_no_verdict_and_are_not_said_of_a_claim_that_is_not_supported(ends):
    effect = Effect("a model", "a quantity", above(0), low=ends[0], high=ends[1])
    alone = Finding("id", "3.1", "A claim.", "A rule.", lambda _: (effect,), Rivals("None."))
    beside = replace(alone, rivals=Rivals("One.", lambda _: (rival("A", 1, 2),)))
    assert beside.decide(None).verdict == alone.decide(None).verdict
    assert beside.decide(None).survival == ""


def sweep(aggregates, model):
    return [aggregates.find(**model, width_multiple=width, recipe="short") for width in range(1, 9)]


def test_what_is_beyond_a_null_is_a_paired_t_over_widths():
    aggregates = gathered(null=paper_null)
    found = beyond(aggregates, GAUSSIAN, PRELN_GELU, layer_mean("pr_post"), above(1), against=PRELN_RELU)
    logs = {
        model["activation"]: [
            np.log(run.probed(TRAINED, "pr_post")[0].mean())
            - np.mean(np.log(run.probed(GAUSSIAN, "pr_post").mean(axis=1)))
            for run in sweep(aggregates, model)
        ]
        for model in (PRELN_GELU, PRELN_RELU)
    }
    expected = stats.ttest_rel(logs["gelu"], logs["relu"]).confidence_interval(0.95)
    assert found.value == pytest.approx(np.exp(np.subtract(logs["gelu"], logs["relu"]).mean()))
    assert (found.low, found.high) == pytest.approx((np.exp(expected.low), np.exp(expected.high)))
    assert (found.rival, found.state) == (NULLS[GAUSSIAN], "finished")


def test_a_null_and_a_second_model_are_averaged_over_widths():
    aggregates = gathered(null=paper_null)
    probed = layer_mean("eee_post", by_ratio=False)
    level = of_null(aggregates, UNTRAINED, PRELN_GELU, probed, above(0.5))
    assert level.value == pytest.approx(0.83)
    between = compared(aggregates, PRELN_GELU, PRELN_RELU, layer_mean("pr_post"), above(1), "a rival")
    ratios = [
        one.probed(TRAINED, "pr_post").mean() / other.probed(TRAINED, "pr_post").mean()
        for one, other in zip(sweep(aggregates, PRELN_GELU), sweep(aggregates, PRELN_RELU), strict=True)
    ]
    assert between.value == pytest.approx(stats.gmean(ratios))


def test_a_number_that_a_width_lacks_leaves_none():
    none = Probed("nothing", lambda column: None if column("pr_post").max() < 10 else 1.0)  # the narrowest, untrained
    found = beyond(gathered(null=paper_null), UNTRAINED, PRELN_GELU, none, above(0))
    assert (found.value, found.holds) == (None, "open")
    assert "no such number" in found.note


BY_PROBE = set(NULLS.values()) | {"small pre-activations", "the share of active units", "the number of tokens"}


@pytest.fixture(scope="module")
def probed():
    return gathered(with_estimators(), null=paper_null)


@pytest.fixture(params=FINDINGS, ids=lambda finding: finding.id)
def finding(request):
    return request.param


# What the formulas of the made-up study leave standing beside each rival: only what is not "not explained by".
_OTHERWISE = {
    "gelu-broader": {"a broader pre-activation": FATES[2]},  # gains are alike
    "r-configurations": dict.fromkeys(("D itself", NULLS[UNTRAINED]), FATES[2]),
    "r-inversion": {"D itself": FATES[1]},  # the loss follows D alone
    "early-ranking": dict.fromkeys(("the early loss", NULLS[UNTRAINED]), FATES[2]),
}


def test_what_training_alone_brings_is_not_explained_by_a_rival(finding, probed):
    verdict = finding.decide(probed)
    if finding.id == "pr-every-layer":  # too few layers to support it: see test_findings
        assert {effect.holds for effect in verdict.rivals} <= {"yes", "open"}
        return
    assert verdict.verdict == "supported"
    rivals = dict.fromkeys(effect.rival for effect in verdict.rivals if effect.claim is not None)
    expected = _OTHERWISE.get(finding.id, {})
    fates = {fate: [name for name in rivals if expected.get(name, FATES[0]) == fate] for fate in FATES}
    said = [part.removeprefix(fate + " ") for fate in FATES for part in verdict.survival.split("; ") if fate in part]
    said = [re.sub(r" \(\d+ of \d+ beyond it\)", "", each) for each in said]
    assert [each.replace(" and ", ", ") for each in said] == [
        ", ".join(names).replace(" and ", ", ") for names in fates.values() if names
    ]


def test_every_claim_names_its_rivals_or_why_there_are_none(finding, probed):
    assert finding.rivals.words.endswith(".")
    assert "<function" not in finding.rivals.words
    rivals = finding.rivals.effects(probed)
    assert bool(rivals) is not finding.rivals.words.startswith("No rival")
    for effect in rivals:
        assert effect.rival
        assert effect.claim is not None or effect.rival == "small pre-activations"
        assert effect.state == "finished"


def test_of_runs_that_were_not_probed_it_is_said(finding):
    verdict = finding.decide(gathered(with_estimators()))
    lacking = {effect.rival for effect in verdict.rivals if effect.state == NOT_PROBED}
    of_spectra = finding.id == "early-ranking"  # which has its untrained network from the first measured step
    assert lacking == (set() if of_spectra else {effect.rival for effect in verdict.rivals} & BY_PROBE)
    said = {effect.rival for effect in verdict.rivals if effect.claim is not None} & lacking
    assert verdict.verdict != "supported" or all(name in verdict.survival for name in said)


def test_nulls_that_are_the_trained_network_explain_it_as_well(finding):
    def trained(run: MadeUp, activations: str):
        metrics = paper_spectrum(run, np.ones((1, 1)), np.arange(4))
        return {name: (values + np.zeros((1, 4)))[-1] for name, values in metrics.items()}

    for effect in finding.rivals.effects(gathered(with_estimators(), null=trained)):
        if effect.rival in NULLS.values() and " less that of the untrained" not in effect.quantity:
            assert effect.holds != "yes", effect


def test_what_rivals_are_made_of_is_traced_to_runs(finding, probed):
    for effect in finding.rivals.effects(probed):
        assert effect.runs or finding.id == "early-ranking"


def test_shuffled_components_are_a_null_of_their_own(probed):
    rivals = {effect.rival for effect in BY_ID["reinjection-se"].rivals.effects(probed)}
    assert NULLS[SHUFFLED] in rivals
