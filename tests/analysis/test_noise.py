"""The pooled spread over seeds and the intervals made of it, against formulas written out."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from nervelab.analysis.compare import contrast, level, paired_contrast, seed_noise
from nervelab.analysis.quantities import EVAL_LOSS, PR_POST, Quantity
from nervelab.statistics.estimate import Estimate
from nervelab.statistics.spread import Spread
from tests.support.made_up_runs import MadeUp, gathered, paper_spectrum

# Final eval losses by activation and seed: three models on several seeds, one on a single one.
_LOSSES = {
    "gelu": (3.38, 3.41, 3.36),
    "relu": (3.30, 3.27),
    "geglu": (3.50, 3.52, 3.55, 3.47),
    "swiglu": (3.6,),
}
_RATIO = Quantity("ratio", "eval loss by ratios", "nats", EVAL_LOSS.value, by_ratio=True)


def runs(outcomes: dict[tuple[str, int], str] | None = None) -> list[MadeUp]:
    return [
        MadeUp(activation=activation, seed=seed, outcome=(outcomes or {}).get((activation, seed), "finished"))
        for activation, losses in _LOSSES.items()
        for seed in range(len(losses))
    ]


def made_up(outcomes=None):
    return gathered(runs(outcomes), loss=lambda run: _LOSSES[run.activation][run.seed])


@pytest.fixture(scope="module")
def aggregates():
    return made_up()


def ends(estimate: Estimate) -> tuple[float, float, float]:
    return estimate.value, estimate.low, estimate.high


def test_the_pooled_deviation_by_hand(aggregates):
    noise = seed_noise(aggregates, EVAL_LOSS)
    # about the means 3.383333, 3.285 and 3.51
    squares = (0.003333**2 + 0.026667**2 + 0.023333**2) + 2 * 0.015**2 + (0.01**2 + 0.01**2 + 0.04**2 + 0.04**2)
    assert (noise.spread.freedom, noise.spread.groups) == (2 + 1 + 3, 3)
    assert noise.spread.deviation == pytest.approx(math.sqrt(squares / 6), rel=1e-4)


def test_the_pooled_variance_weighs_each_models_by_its_degrees_of_freedom(aggregates):
    several = [losses for losses in _LOSSES.values() if len(losses) > 1]
    pooled = np.average([np.var(each, ddof=1) for each in several], weights=[len(each) - 1 for each in several])
    assert seed_noise(aggregates, EVAL_LOSS).spread.deviation ** 2 == pytest.approx(pooled)


def test_of_a_ratio_the_logarithms_spread(aggregates):
    several = [np.log(losses) for losses in _LOSSES.values() if len(losses) > 1]
    pooled = sum(((each - each.mean()) ** 2).sum() for each in several) / 6
    assert seed_noise(aggregates, _RATIO).spread.deviation == pytest.approx(math.sqrt(pooled))


@pytest.mark.parametrize("outcome", ["stuck", "diverged"])
def test_a_failed_run_is_no_replicate(outcome):
    noise = seed_noise(made_up({("relu", 1): outcome, ("geglu", 0): outcome}), EVAL_LOSS)
    several = (_LOSSES["gelu"], _LOSSES["geglu"][1:])
    assert (noise.spread.freedom, noise.spread.groups) == (4, 2)
    assert noise.spread.deviation**2 == pytest.approx(np.mean([np.var(each, ddof=1) for each in several]))


def test_runs_that_differ_in_more_than_their_seed_are_no_replicates():
    wider = [MadeUp(width_multiple=width, seed=width) for width in range(1, 9)]
    assert seed_noise(gathered(wider), EVAL_LOSS) is None


@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_a_level_is_a_mean_with_a_t_interval(aggregates, settings, confidence):
    aggregates = replace(aggregates, settings=settings.model_copy(update={"confidence": confidence}))
    noise = seed_noise(aggregates, EVAL_LOSS)
    half = stats.t.ppf((1 + confidence) / 2, 6) * noise.spread.deviation / math.sqrt(3)
    mean = np.mean(_LOSSES["gelu"])
    found = level(aggregates.find_seeds(), EVAL_LOSS, noise)
    assert ends(found) == pytest.approx((mean, mean - half, mean + half))


def test_a_contrast_of_two_models_is_students_two_sample_interval():
    """With the two models alone in the pool it is scipy's, of equal variances."""
    both = [run for run in runs() if run.activation in {"gelu", "geglu"}]
    aggregates = gathered(both, loss=lambda run: _LOSSES[run.activation][run.seed])
    noise = seed_noise(aggregates, EVAL_LOSS)
    found = contrast(aggregates.find_seeds(), aggregates.find_seeds(activation="geglu"), EVAL_LOSS, noise)
    expected = stats.ttest_ind(_LOSSES["gelu"], _LOSSES["geglu"]).confidence_interval(0.95)
    assert ends(found) == pytest.approx((3.383333 - 3.51, expected.low, expected.high), rel=1e-4)


def test_a_single_run_is_held_against_the_noise_of_the_others(aggregates):
    noise = seed_noise(aggregates, EVAL_LOSS)
    single, three = aggregates.find_seeds(activation="swiglu"), aggregates.find_seeds()
    half = stats.t.ppf(0.975, 6) * noise.spread.deviation * math.sqrt(1 + 1 / 3)
    difference = 3.6 - np.mean(_LOSSES["gelu"])
    found = contrast(single, three, EVAL_LOSS, noise)
    assert ends(found) == pytest.approx((difference, difference - half, difference + half))


def test_a_ratio_is_one_of_geometric_means(aggregates):
    noise = seed_noise(aggregates, _RATIO)
    ratio = stats.gmean(_LOSSES["gelu"]) / stats.gmean(_LOSSES["relu"])
    factor = math.exp(stats.t.ppf(0.975, 6) * noise.spread.deviation * math.sqrt(1 / 3 + 1 / 2))
    found = contrast(aggregates.find_seeds(), aggregates.find_seeds(activation="relu"), _RATIO, noise)
    assert ends(found) == pytest.approx((ratio, ratio / factor, ratio * factor))
    alone = level(aggregates.find_seeds(), _RATIO, noise)
    factor = math.exp(stats.t.ppf(0.975, 6) * noise.spread.deviation / math.sqrt(3))
    mean = stats.gmean(_LOSSES["gelu"])
    assert ends(alone) == pytest.approx((mean, mean / factor, mean * factor))


def test_a_paired_contrast_counts_every_run_as_one_training(aggregates):
    noise = seed_noise(aggregates, EVAL_LOSS)
    pairs = [(aggregates.find(activation=each), aggregates.find(activation="swiglu")) for each in ("gelu", "geglu")]
    mean = ((3.38 - 3.6) + (3.50 - 3.6)) / 2
    half = stats.t.ppf(0.975, 6) * noise.spread.deviation  # of two means of two runs: sqrt(1/2 + 1/2)
    found = paired_contrast(pairs, EVAL_LOSS, noise)
    assert ends(found) == pytest.approx((mean, mean - half, mean + half))
    by_ratio = paired_contrast(pairs, _RATIO, seed_noise(aggregates, _RATIO))
    assert by_ratio.value == pytest.approx(math.sqrt(3.38 / 3.6 * 3.50 / 3.6))


def test_without_replicates_there_is_a_value_and_no_interval():
    single = [run for run in runs() if run.seed == 0]
    aggregates = gathered(single, loss=lambda run: _LOSSES[run.activation][run.seed])
    noise = seed_noise(aggregates, EVAL_LOSS)
    assert noise is None
    gelu, relu = aggregates.find_seeds(), aggregates.find_seeds(activation="relu")
    assert ends(level(gelu, EVAL_LOSS, noise)) == (3.38, None, None)
    assert ends(contrast(gelu, relu, EVAL_LOSS, noise)) == (pytest.approx(0.08), None, None)
    assert ends(paired_contrast([(gelu[0], relu[0])], EVAL_LOSS, noise)) == (pytest.approx(0.08), None, None)


def test_failed_runs_have_neither_a_level_nor_a_contrast():
    aggregates = made_up({("swiglu", 0): "stuck"})
    noise = seed_noise(aggregates, EVAL_LOSS)
    failed, three = aggregates.find_seeds(activation="swiglu"), aggregates.find_seeds()
    assert level(failed, EVAL_LOSS, noise) == Estimate()
    assert contrast(three, failed, EVAL_LOSS, noise) == Estimate()
    assert paired_contrast([(three[0], failed[0])], EVAL_LOSS, noise) == Estimate()
    assert paired_contrast([], EVAL_LOSS, noise) == Estimate()


def test_half_a_width_by_the_printed_table_of_t():
    assert Spread(0.01, 18, 9).half_width(2 / 3, 0.95) == pytest.approx(2.101 * 0.01 * math.sqrt(2 / 3), rel=1e-4)


@pytest.mark.parametrize("by_ratio", [False, True])
def test_an_interval_holds_the_true_contrast_as_often_as_it_says(by_ratio):
    """Four models on three seeds each, whose losses (or their logarithms) scatter normally."""
    true = {"gelu": 1.2, "relu": 1.1, "geglu": 1.3, "swiglu": 1.0}
    quantity = _RATIO if by_ratio else EVAL_LOSS
    replicated = [MadeUp(activation=each, seed=seed, steps=(0,)) for each in true for seed in range(3)]
    trials, hits = 200, {"level": 0, "contrast": 0}
    random = np.random.default_rng(5)
    for _ in range(trials):
        drawn = {
            (run.activation, run.seed): true[run.activation] + 0.1 * random.standard_normal() for run in replicated
        }
        losses = {key: math.exp(value) for key, value in drawn.items()} if by_ratio else drawn
        aggregates = gathered(replicated, one_number, lambda run, losses=losses: losses[run.activation, run.seed])
        noise = seed_noise(aggregates, quantity)
        gelu, relu = aggregates.find_seeds(), aggregates.find_seeds(activation="relu")
        wanted = {"level": true["gelu"], "contrast": true["gelu"] - true["relu"]}
        found = {
            "level": level(gelu, quantity, noise),
            "contrast": contrast(gelu, relu, quantity, noise),
        }
        for kind, estimate in found.items():
            value = math.exp(wanted[kind]) if by_ratio else wanted[kind]
            hits[kind] += estimate.low <= value <= estimate.high
    margin = 3 * math.sqrt(0.95 * 0.05 / trials)
    assert all(times / trials == pytest.approx(0.95, abs=margin) for times in hits.values()), hits


def one_number(run, share_S1, layer_L):
    """Spectra that cost nothing, for a quantity that reads none."""
    return dict.fromkeys(("pr_pre", "pr_post", "eee_pre", "eee_post"), np.ones((len(share_S1), len(layer_L))))


def test_noise_is_that_of_the_quantity_asked_for():
    aggregates = gathered(
        runs(), spectrum=lambda run, *where: paper_spectrum(run, *where) | {"pr_post": np.array(10.0 + run.seed)}
    )
    noise = seed_noise(aggregates, PR_POST)
    several = [np.log(10.0 + np.arange(len(losses))) for losses in _LOSSES.values() if len(losses) > 1]
    assert noise.spread.deviation**2 == pytest.approx(sum(((each - each.mean()) ** 2).sum() for each in several) / 6)
