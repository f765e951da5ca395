from dataclasses import replace

import pytest
from synthetic_runs import LAPTOP, LAYERS, SHIFT, STEPS

from nervelab.analysis.findings.registry import FINDINGS

_BY_ID = {finding.id: finding for finding in FINDINGS}
_METRIC = {"reinjection-se": "se", "reinjection-pr": "pr", "flattening-eee": "eee"}
_GELU, _RELU = LAPTOP[:2]
_REVERSED = {metric: -shift for metric, shift in SHIFT.items()}
_NONE = dict.fromkeys(SHIFT, 0.0)


@pytest.fixture(params=sorted(_METRIC))
def finding(request):
    return _BY_ID[request.param]


def test_a_planted_effect_is_supported_with_its_size(gather, settings, finding):
    verdict = finding.decide(gather(), settings)
    assert verdict.verdict == "supported"
    planted = SHIFT[_METRIC[finding.id]]
    for effect in verdict.effects:
        assert effect.value == pytest.approx(planted, rel=0.05)
        assert effect.low < effect.value < effect.high
        assert effect.agreeing == 1
        assert effect.n == f"{len(STEPS)} checkpoints × {LAYERS} layers"


def test_the_relative_effect_is_a_share_of_the_mean_before(gather, settings, finding):
    aggregates = gather([replace(_GELU, noise=0), replace(_RELU, noise=0)])
    metric = _METRIC[finding.id]
    effect = finding.decide(aggregates, settings).effects[0]
    before = aggregates.find().spectra[f"{metric}_pre"].mean()
    assert effect.relative == pytest.approx(SHIFT[metric] / before)


def test_the_reverse_in_every_run_contradicts(gather, settings, finding):
    verdict = finding.decide(gather([replace(run, shift=_REVERSED) for run in LAPTOP]), settings)
    assert verdict.verdict == "contradicted"
    assert all(effect.agreeing == 0 for effect in verdict.effects)


def test_runs_that_disagree_are_inconclusive(gather, settings, finding):
    verdict = finding.decide(gather([_GELU, replace(_RELU, shift=_REVERSED)]), settings)
    assert verdict.verdict == "inconclusive"


def test_no_effect_under_noise_is_inconclusive(gather, settings, finding):
    noisy = [replace(run, shift=_NONE, noise=1.0, seed=seed) for seed, run in enumerate((_GELU, _RELU))]
    assert finding.decide(gather(noisy), settings).verdict == "inconclusive"


def test_an_absent_run_means_not_run(gather, settings, finding):
    verdict = finding.decide(gather([_GELU]), settings)
    assert verdict.verdict == "not run"
    assert "PreLN ReLU" in verdict.reason
    assert verdict.effects[0].value is not None
    assert verdict.effects[1].state == "not run at this scale"


@pytest.mark.parametrize("outcome", ["stuck", "diverged"])
def test_a_failed_run_decides_nothing(gather, settings, finding, outcome):
    verdict = finding.decide(gather([_GELU, replace(_RELU, outcome=outcome)]), settings)
    assert verdict.verdict == "inconclusive"
    assert f"PreLN ReLU {outcome} at step 429" in verdict.reason
    assert verdict.effects[1].value is None


def test_too_few_checkpoints_decide_nothing(gather, settings, finding):
    verdict = finding.decide(gather([replace(_GELU, steps=STEPS[:5]), _RELU]), settings)
    assert verdict.verdict == "inconclusive"
    assert "fewer than 8 checkpoints" in verdict.reason


def test_the_rule_names_its_direction(finding):
    assert f"lies {'below' if finding.id == 'flattening-eee' else 'above'} 0 in both runs" in finding.rule
