import math
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from nervelab.aggregates.find import Aggregates
from nervelab.analysis.compare import level, seed_noise
from nervelab.analysis.findings.finding import above, below
from nervelab.analysis.findings.registry import FINDINGS
from nervelab.analysis.findings.section_3_1 import mean_effect, weakest_layer
from nervelab.analysis.quantities import MEAN_EFFECT, layer_effect
from nervelab.paper.architectures import PRELN_GELU
from nervelab.statistics.blocks import mean_interval
from tests.support.made_up_runs import SETTINGS, at_4d, gathered, paper_spectrum
from tests.support.synthetic_runs import LAPTOP, LAYERS, SHIFT, STEPS, over_seeds

_BY_ID = {finding.id: finding for finding in FINDINGS}
_METRIC = {"reinjection-se": "se", "reinjection-pr": "pr", "flattening-eee": "eee"}
_GELU, _RELU = LAPTOP[:2]
_BOTH = over_seeds(_GELU, _RELU)
_REVERSED = {metric: -shift for metric, shift in SHIFT.items()}
_WINDOW = [step for step in STEPS if step >= 150]
_NONE = dict.fromkeys(SHIFT, 0.0)


def planted(metric, sign=1, layers=range(LAYERS), steps=_WINDOW):
    """The mean effect of what was added to the pre-activation metric: of PR the gain, over that metric by cell."""
    if metric != "pr":
        return sign * SHIFT[metric]
    pre = [6 * (1 + step / 1000) * (1 + 0.02 * layer) for step in steps for layer in layers]
    return 1 + sign * np.mean([SHIFT["pr"] / each for each in pre])


def mean(metric, values):
    return np.exp(np.mean(np.log(values))) if metric == "pr" else np.mean(values)


@pytest.fixture(params=sorted(_METRIC))
def finding(request):
    return _BY_ID[request.param]


def test_a_planted_effect_is_supported_with_its_size(gather, finding):
    verdict = finding.decide(gather(_BOTH))
    assert verdict.verdict == "supported"
    metric = _METRIC[finding.id]
    means = verdict.effects[::2]
    assert [effect.of for effect in means] == ["PreLN GELU", "PreLN ReLU"]
    for effect in means:
        assert effect.value == pytest.approx(planted(metric), rel=0.05)
        assert effect.low < effect.value < effect.high
        assert effect.holds == "yes"
        assert len(effect.by_layer) == LAYERS
        # over seeds a gain has a geometric mean, over layers an arithmetic one
        assert sum(effect.by_layer) / LAYERS == pytest.approx(effect.value, rel=1e-3 if metric == "pr" else 1e-6)
        assert mean(metric, effect.by_seed) == pytest.approx(effect.value)


def _apart(by):
    """Both models on three seeds whose effects lie `by` of the planted one apart."""
    return [
        replace(run, shift={key: shift * (1 + by * (run.seed - 1)) for key, shift in SHIFT.items()}) for run in _BOTH
    ]


@pytest.mark.parametrize("by", [0.0, 0.3])
def test_the_mean_effects_interval_is_by_seed_noise_alone(gather, settings, finding, by):
    """Where every seed has the same curve it has no width, however the curve drifts over checkpoints."""
    aggregates = gather(_apart(by))
    if not by:  # every seed has the curves of the first
        names = aggregates.runs["name"]
        first = aggregates.spectra.filter(name=names[0])
        same = [first.with_columns(name=pl.lit(name)) for name in names]
        aggregates = Aggregates(
            runs=aggregates.runs, spectra=pl.concat(same), history=aggregates.history, settings=aggregates.settings
        )
    metric = _METRIC[finding.id]
    post, pre = pl.col(f"{metric}_post"), pl.col(f"{metric}_pre")
    cells = post / pre if metric == "pr" else post - pre
    curves = []
    for run in aggregates.find_seeds():
        rows = run.spectra.filter(pl.col("step") >= 150).group_by("step", maintain_order=True)
        over_layers = cells.log().mean().exp() if metric == "pr" else cells.mean()
        curves.append(rows.agg(effect=over_layers)["effect"].to_numpy())
    effect = finding.decide(aggregates).effects[0]
    assert len(curves) == 3
    assert len(curves[0]) == len(_WINDOW)
    noise = seed_noise(aggregates, MEAN_EFFECT[metric])
    assert noise.spread.freedom == 4
    assert (noise.spread.deviation < 1e-12) is (by == 0)
    half = 2.776445 * noise.spread.deviation / 3**0.5
    values = [mean(metric, curve) for curve in curves]
    centre = mean(metric, values)
    ends = (centre * math.exp(-half), centre * math.exp(half)) if metric == "pr" else (centre - half, centre + half)
    assert (effect.value, effect.low, effect.high) == pytest.approx((centre, *ends), rel=1e-6)
    over_checkpoints = mean_interval(sum(curves) / 3, SETTINGS.confidence)
    assert over_checkpoints[0] < effect.value < over_checkpoints[1]
    assert (over_checkpoints[0] < effect.low <= effect.high < over_checkpoints[1]) is (by == 0)


@pytest.mark.parametrize("noise", [0.05, 0.5, 3.0])
def test_the_mean_effects_interval_is_the_one_of_the_level_of_runs(gather, finding, noise):
    aggregates = gather([replace(run, noise=noise) for run in _apart(0.1)])
    effect = finding.decide(aggregates).effects[0]
    quantity = MEAN_EFFECT[_METRIC[finding.id]]
    seeds = level(aggregates.find_seeds(), quantity, seed_noise(aggregates, quantity))
    assert (effect.value, effect.low, effect.high) == pytest.approx((seeds.value, seeds.low, seeds.high))
    if quantity.by_ratio and noise > 1:  # cells of which the PR is not positive
        assert seeds.value is None
    else:
        assert seeds.low < seeds.high


@pytest.mark.parametrize(
    ("claim", "by_layer", "layer"),
    [
        (above(0), [0.3, 0.1, 0.2, 0.4], 1),
        (above(0), [-0.1, 0.1, -0.2, 0.4], 2),
        (below(0), [-0.3, -0.1, -0.2, -0.4], 1),
        (below(0), [-0.3, -0.1, -0.2, 0.4], 3),
    ],
)
def test_the_weakest_layer_is_the_least_in_favour_on_the_mean_over_seeds(claim, by_layer, layer):
    """Also where the effect is the claim's reverse, and where a single seed would choose another layer."""
    apart = {0: 0.0, 1: 0.5, 2: -0.5}

    def spectrum(run, share_S1, layer_L):
        known = paper_spectrum(run, share_S1, layer_L)
        effect_L = np.array(by_layer) + apart[run.seed] * (layer_L == 0) + 0 * share_S1
        return known | {"se_post": known["se_pre"] + effect_L}

    aggregates = gathered(at_4d(("preln", "gelu")), spectrum)
    effect = weakest_layer(aggregates, PRELN_GELU, "se", claim)
    assert effect.quantity == f"SE, post minus pre, in layer {layer + 1}"
    assert effect.value == pytest.approx(by_layer[layer])
    deviation = 0.5 if layer == 0 else 0.0
    half = 4.302653 * deviation / 3**0.5  # Student's t of 2 degrees of freedom
    assert (effect.low, effect.high) == pytest.approx((by_layer[layer] - half, by_layer[layer] + half), abs=1e-6)
    assert len(effect.by_seed) == 3


def test_the_interval_of_the_weakest_layer_is_by_seed_noise_of_that_layer():
    def spectrum(run, share_S1, layer_L):
        known = paper_spectrum(run, share_S1, layer_L)
        effect_L = np.array([0.1, 1, 1, 1]) + 0.02 * (run.seed - 1) * (layer_L == 0)
        return known | {"se_post": known["se_pre"] + effect_L + 0 * share_S1}

    effect = weakest_layer(gathered(at_4d(("preln", "gelu")), spectrum), PRELN_GELU, "se", above(0))
    half = 4.302653 * 0.02 / 3**0.5
    assert (effect.value, effect.low, effect.high) == pytest.approx((0.1, 0.1 - half, 0.1 + half), abs=1e-6)
    assert effect.by_seed == pytest.approx((0.08, 0.1, 0.12))


def test_without_an_effect_seeds_that_disagree_seldom_decide(settings):
    """What a seed adds is the same at all its checkpoints: blocks of checkpoints alone would not see it."""
    trials, decided, by_checkpoints = 150, 0, 0
    models = (("preln", "gelu"), ("preln", "relu"))
    shape = gathered(at_4d(*models))
    names = shape.runs["name"].to_list()
    random = np.random.default_rng(0)
    for _ in range(trials):
        added = dict(zip(names, random.standard_normal(len(names)), strict=True))
        per_step = 0.1 * random.standard_normal(shape.spectra.height)
        of_seed = pl.col("name").replace_strict(added, return_dtype=pl.Float64)
        spectra = shape.spectra.with_columns(se_post=pl.col("se_pre") + of_seed + pl.Series(per_step))
        aggregates = Aggregates(runs=shape.runs, spectra=spectra, history=shape.history, settings=shape.settings)
        effect = mean_effect(aggregates, PRELN_GELU, "se", above(0))
        decided += effect.holds in ("yes", "no")
        curve = np.mean(
            [
                (r.grid("se_post").values_SL - r.grid("se_pre").values_SL)[3:].mean(axis=1)
                for r in aggregates.find_seeds()
            ],
            axis=0,
        )
        low, high = mean_interval(curve, SETTINGS.confidence)
        by_checkpoints += not low <= 0 <= high
    assert decided <= 0.12 * trials
    assert by_checkpoints > 0.5 * trials


def test_the_weakest_layer_is_held_against_seed_noise(gather, finding):
    aggregates = gather([replace(run, reversed_layers=(2,)) for run in _BOTH])
    metric = _METRIC[finding.id]
    weakest = finding.decide(aggregates).effects[1]
    assert weakest.value == pytest.approx(planted(metric, -1, layers=[2]), rel=0.1)
    assert weakest.holds == "no"
    assert weakest.quantity.endswith("in layer 3")
    noise = seed_noise(aggregates, layer_effect(metric, 2))
    assert noise.spread.freedom == 4
    half = math.log(weakest.high / weakest.value) if metric == "pr" else weakest.high - weakest.value
    assert half == pytest.approx(2.776 * noise.spread.deviation / 3**0.5, rel=1e-3)


def test_the_reverse_in_every_run_contradicts(gather, finding):
    verdict = finding.decide(gather([replace(run, shift=_REVERSED) for run in _BOTH]))
    assert verdict.verdict == "contradicted"
    assert [effect.holds for effect in verdict.effects] == ["no"] * 4
    assert verdict.reason == "4 of 4 contradict the claim"


def test_with_one_model_to_the_contrary_it_holds_in_part(gather, finding):
    runs = over_seeds(_GELU, replace(_RELU, shift=_REVERSED))
    verdict = finding.decide(gather(runs))
    assert verdict.verdict == "in part"
    assert [effect.holds for effect in verdict.effects] == ["yes", "yes", "no", "no"]


def test_without_seed_noise_all_is_open(gather, finding):
    verdict = finding.decide(gather())
    assert verdict.verdict == "inconclusive"
    assert [effect.holds for effect in verdict.effects] == ["open"] * 4
    assert {(effect.low, effect.high) for effect in verdict.effects} == {(None, None)}
    assert verdict.effects[0].value == pytest.approx(planted(_METRIC[finding.id]), rel=0.05)
    assert verdict.effects[1].value == pytest.approx(planted(_METRIC[finding.id]), rel=0.1)
    assert verdict.effects[0].by_seed == ()


def test_no_effect_under_noise_is_inconclusive(gather, finding):
    verdict = finding.decide(gather([replace(run, shift=_NONE, noise=1.0) for run in _BOTH]))
    assert verdict.effects[0].holds == "open"
    assert verdict.verdict == "inconclusive"


def test_an_absent_run_means_not_run(gather, finding):
    verdict = finding.decide(gather([_GELU]))
    assert verdict.verdict == "not run"
    assert "PreLN ReLU" in verdict.reason
    assert verdict.effects[0].value is not None
    assert verdict.effects[2].state == "not run at this scale"


@pytest.mark.parametrize("outcome", ["stuck", "diverged"])
def test_a_failed_run_decides_nothing(gather, finding, outcome):
    verdict = finding.decide(gather([_GELU, replace(_RELU, outcome=outcome)]))
    assert verdict.verdict == "inconclusive"
    assert verdict.reason == f"PreLN ReLU {outcome} at step 429"
    assert all(effect.value is None for effect in verdict.effects[2:])


def test_one_failed_seed_of_three_decides_nothing(gather, finding):
    verdict = finding.decide(gather([*_BOTH[:-1], replace(_BOTH[-1], outcome="stuck")]))
    assert verdict.verdict == "inconclusive"
    assert verdict.reason == "PreLN ReLU stuck at step 429"


def test_one_checkpoint_in_the_window_suffices(gather, finding):
    """What spreads is the seeds."""
    verdict = finding.decide(gather(over_seeds(replace(_GELU, steps=STEPS[:5]), _RELU)))
    assert len([step for step in STEPS[:5] if step in _WINDOW]) == 1
    assert verdict.verdict == "supported"
    assert verdict.effects[0].low < verdict.effects[0].value < verdict.effects[0].high


def test_nothing_in_the_window_decides_nothing(gather, finding):
    verdict = finding.decide(gather(over_seeds(replace(_GELU, steps=STEPS[:2]), _RELU)))
    assert verdict.verdict == "inconclusive"
    assert verdict.effects[0].value is None
    assert "nothing measured in the window" in verdict.effects[0].note


def test_checkpoints_before_the_window_decide_nothing(gather, finding):
    dense_start = (0, *range(1, 140, 3), *_WINDOW)
    runs = over_seeds(replace(_GELU, noise=0, steps=dense_start), replace(_RELU, noise=0))
    verdict = finding.decide(gather(runs))
    dense, sparse = verdict.effects[0], verdict.effects[2]
    assert dense.low is not None
    assert (dense.value, dense.low, dense.high) == (sparse.value, sparse.low, sparse.high)


def test_the_untrained_network_is_a_control_where_it_was_measured(gather, finding):
    aggregates = gather([replace(_GELU, noise=0), replace(_RELU, steps=STEPS[1:])])
    effects = finding.decide(aggregates).effects
    before = planted(_METRIC[finding.id], steps=[0])
    assert effects[0].note == f"100 % of cells; before training {before:.3g}".replace("-", "−")
    assert effects[2].note == "100 % of cells"


def test_the_note_counts_the_cells_that_have_the_claimed_sign(gather, finding):
    """Of four layers one is reversed, in the first model only; a reversed model has none."""
    runs = over_seeds(replace(_GELU, reversed_layers=(2,)), replace(_RELU, shift=_REVERSED))
    effects = finding.decide(gather(runs)).effects
    assert effects[0].note.startswith("75 % of cells; before training ")
    assert effects[2].note.startswith("0 % of cells; before training ")
    assert effects[1].note == effects[3].note == ""
    assert effects[1].holds == "no"


def test_a_failed_run_has_no_cells_to_count(gather, finding):
    effects = finding.decide(gather([replace(_GELU, outcome="stuck")])).effects
    assert [effect.note for effect in effects] == [""] * 4


def test_a_layer_against_the_claim_counts_though_the_mean_does_not(gather, finding):
    verdict = finding.decide(gather(over_seeds(_GELU, replace(_RELU, reversed_layers=(2,)))))
    assert [effect.holds for effect in verdict.effects] == ["yes", "yes", "yes", "no"]
    assert verdict.verdict == "in part"
    by_layer = verdict.effects[2].by_layer
    metric = _METRIC[finding.id]
    none = 1 if metric == "pr" else 0
    assert [(value - none) * SHIFT[metric] > 0 for value in by_layer] == [True, True, False, True]


@pytest.mark.parametrize("noise", [0.05, 3.0, 6.0])
def test_a_verdict_depends_on_no_seed_of_the_analysis(gather, settings, finding, noise):
    aggregates = gather([replace(run, noise=noise) for run in _BOTH])
    drawn = [SETTINGS.model_copy(update={"seed": seed, "bootstrap": 100 + seed}) for seed in range(5)]
    assert len({finding.decide(replace(aggregates, settings=each)) for each in drawn}) == 1


def test_changes_after_the_first_full_run_are_listed(finding):
    assert "depended on the bootstrap seed" in finding.revisions[0]
    assert "mean over three seeds" in finding.revisions[1]
