from dataclasses import replace

import polars as pl
import pytest
from synthetic_runs import LAPTOP, LAYERS, SHIFT, STEPS

from nervelab.analysis.findings.registry import FINDINGS

_BY_ID = {finding.id: finding for finding in FINDINGS}
_METRIC = {"reinjection-se": "se", "reinjection-pr": "pr", "flattening-eee": "eee"}
_GELU, _RELU = LAPTOP[:2]
_REVERSED = {metric: -shift for metric, shift in SHIFT.items()}
_WINDOW = [step for step in STEPS if step >= 150]
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
        assert effect.n_checkpoints == len(_WINDOW)
        assert len(effect.layers) == effect.n_layers == LAYERS
        assert sum(effect.layers) / LAYERS == pytest.approx(effect.value)


def test_the_relative_effect_is_a_share_of_the_mean_before(gather, settings, finding):
    aggregates = gather([replace(_GELU, noise=0), replace(_RELU, noise=0)])
    metric = _METRIC[finding.id]
    effect = finding.decide(aggregates, settings).effects[0]
    before = aggregates.find().spectra.filter(pl.col("step") >= 150)[f"{metric}_pre"].mean()
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


def test_checkpoints_before_the_window_decide_nothing(gather, settings, finding):
    dense_start = (0, *range(1, 140, 3), *_WINDOW)
    verdict = finding.decide(gather([replace(_GELU, noise=0, steps=dense_start), replace(_RELU, noise=0)]), settings)
    sparse, dense = verdict.effects[1], verdict.effects[0]
    assert (dense.value, dense.low, dense.n_checkpoints) == (sparse.value, sparse.low, sparse.n_checkpoints)


def test_the_untrained_network_is_a_control_where_it_was_measured(gather, settings, finding):
    aggregates = gather([replace(_GELU, noise=0), replace(_RELU, steps=STEPS[1:])])
    effects = finding.decide(aggregates, settings).effects
    assert effects[0].untrained == pytest.approx(SHIFT[_METRIC[finding.id]])
    assert effects[1].untrained is None


def test_a_layer_against_the_claim_is_inconclusive(gather, settings, finding):
    verdict = finding.decide(gather([_GELU, replace(_RELU, reversed_layers=(2,))]), settings)
    assert all(effect.low * effect.high > 0 for effect in verdict.effects)
    assert verdict.verdict == "inconclusive"
    assert "layer 3 of PreLN ReLU" in verdict.reason


@pytest.mark.parametrize("noise", [0.05, 3.0, 6.0])
def test_a_verdict_depends_on_no_seed_of_the_analysis(gather, settings, finding, noise):
    aggregates = gather([replace(run, noise=noise) for run in (_GELU, _RELU)])
    drawn = [settings.model_copy(update={"seed": seed, "bootstrap": 100 + seed}) for seed in range(5)]
    assert len({finding.decide(aggregates, each) for each in drawn}) == 1


def test_a_change_after_the_first_full_run_is_listed(finding):
    assert "depended on the bootstrap seed" in finding.rule.revisions[0]
