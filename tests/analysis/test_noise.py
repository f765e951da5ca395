"""The spread over seeds and the intervals made of it, against scipy and formulas written out."""

import math
from dataclasses import replace
from itertools import combinations

import numpy as np
import polars as pl
import pytest
from scipy import stats

from nervelab.analysis.compare import contrast, level, seed_noise
from nervelab.analysis.quantities import EVAL_LOSS, PR_POST, Quantity
from nervelab.statistics.estimate import Estimate
from nervelab.statistics.spread import STRONGEST, Spread, prior
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
    assert noise.models.freedom == STRONGEST  # they differ no more than by chance
    assert (noise.models.all_freedom, noise.spread.groups) == (2 + 1 + 3, 3)
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
    assert (noise.models.all_freedom, noise.spread.groups) == (4, 2)
    assert noise.spread.deviation**2 == pytest.approx(np.mean([np.var(each, ddof=1) for each in several]))


def test_runs_that_differ_in_more_than_their_seed_are_no_replicates():
    wider = [MadeUp(width_multiple=width, seed=width) for width in range(1, 9)]
    assert seed_noise(gathered(wider), EVAL_LOSS) is None


def of_mean(noise, activation, quantity=EVAL_LOSS):
    """The spread of the mean over the seeds of a model, from its own and from what all of them say."""
    values = np.log(_LOSSES[activation]) if quantity.by_ratio else np.array(_LOSSES[activation])
    own, strength, most = ((values - values.mean()) ** 2).sum(), noise.models.freedom, noise.models.all_freedom
    freedom = strength + len(values) - 1
    deviation = math.sqrt((strength * noise.models.variance + own) / freedom)
    return Spread(deviation / math.sqrt(len(values)), min(freedom, most), noise.models.groups)


@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_a_level_is_a_mean_with_a_t_interval(aggregates, settings, confidence):
    aggregates = replace(aggregates, settings=settings.model_copy(update={"confidence": confidence}))
    noise = seed_noise(aggregates, EVAL_LOSS)
    spread = of_mean(noise, "gelu")
    half = stats.t.ppf((1 + confidence) / 2, spread.freedom) * spread.deviation
    mean = np.mean(_LOSSES["gelu"])
    found = level(aggregates.find_seeds(), EVAL_LOSS, noise)
    assert ends(found) == pytest.approx((mean, mean - half, mean + half))


@pytest.mark.parametrize("other", ["geglu", "swiglu"])  # of three seeds and of one
def test_a_contrast_of_models_on_other_seeds_adds_their_variances(aggregates, other):
    noise = seed_noise(aggregates, EVAL_LOSS)
    one, two = (of_mean(noise, each) for each in ("gelu", other))
    variances = np.array([one.deviation, two.deviation]) ** 2
    satterthwaite = variances.sum() ** 2 / (variances**2 / [one.freedom, two.freedom]).sum()
    half = stats.t.ppf(0.975, min(satterthwaite, 6)) * math.sqrt(variances.sum())
    difference = np.mean(_LOSSES["gelu"]) - np.mean(_LOSSES[other])
    found = contrast(aggregates.find_seeds(), aggregates.find_seeds(activation=other), EVAL_LOSS, noise)
    assert ends(found) == pytest.approx((difference, difference - half, difference + half))


def test_a_ratio_is_one_of_geometric_means(aggregates):
    noise = seed_noise(aggregates, _RATIO)
    one, two = (of_mean(noise, each, _RATIO) for each in ("gelu", "relu"))
    ratio = stats.gmean(_LOSSES["gelu"]) / stats.gmean(_LOSSES["relu"])
    factor = math.exp(one.less(two, 6).half_width(1, 0.95))
    found = contrast(aggregates.find_seeds(), aggregates.find_seeds(activation="relu"), _RATIO, noise)
    assert ends(found) == pytest.approx((ratio, ratio / factor, ratio * factor))
    alone = level(aggregates.find_seeds(), _RATIO, noise)
    factor, mean = math.exp(one.half_width(1, 0.95)), stats.gmean(_LOSSES["gelu"])
    assert ends(alone) == pytest.approx((mean, mean / factor, mean * factor))


def on_three_seeds(losses: dict[str, tuple[float, ...]]):
    replicated = [MadeUp(activation=each, seed=seed) for each in losses for seed in range(3)]
    return gathered(replicated, loss=lambda run: losses[run.activation][run.seed])


_THREE = {
    "gelu": (3.38, 3.41, 3.36),
    "relu": (3.30, 3.34, 3.27),
    "geglu": (3.50, 3.52, 3.52),
    "swiglu": (3.6, 3.9, 3.3),
}


def test_two_models_on_the_same_seeds_are_compared_seed_by_seed():
    """With the two alone all noise is of scipy's paired differences, and known as well as these say."""
    aggregates = on_three_seeds({each: _THREE[each] for each in ("gelu", "relu")})
    noise = seed_noise(aggregates, EVAL_LOSS)
    gelu, relu = aggregates.find_seeds(), aggregates.find_seeds(activation="relu")
    expected = stats.ttest_rel(_THREE["gelu"], _THREE["relu"]).confidence_interval(0.95)
    assert ends(contrast(gelu, relu, EVAL_LOSS, noise)) == pytest.approx((0.08, expected.low, expected.high))
    assert ends(contrast(gelu, relu[::-1], EVAL_LOSS, noise))[1] != pytest.approx(expected.low)  # not the same seeds


@pytest.mark.parametrize("by_ratio", [False, True])
def test_a_models_noise_is_its_own_beside_what_others_say(by_ratio):
    quantity = _RATIO if by_ratio else EVAL_LOSS
    aggregates = on_three_seeds(_THREE)
    noise = seed_noise(aggregates, quantity)
    values = {each: np.log(losses) if by_ratio else np.array(losses) for each, losses in _THREE.items()}
    of_models = prior(list(values.values()))
    assert noise.models == of_models
    assert of_models.freedom == 1  # as far apart as these are
    for activation, own in values.items():
        spread = of_models.of(own)
        half = stats.t.ppf(0.975, spread.freedom) * spread.deviation / math.sqrt(3)
        expected = np.array([own.mean(), own.mean() - half, own.mean() + half])
        found = level(aggregates.find_seeds(activation=activation), quantity, noise)
        assert ends(found) == pytest.approx(tuple(np.exp(expected) if by_ratio else expected))
    wide = [level(aggregates.find_seeds(activation=each), quantity, noise) for each in ("swiglu", "geglu")]
    assert wide[0].high - wide[0].low > 3 * (wide[1].high - wide[1].low)


def test_what_two_models_differ_by_has_a_prior_of_all_pairs():
    aggregates = on_three_seeds(_THREE)
    noise = seed_noise(aggregates, EVAL_LOSS)
    values = [np.array(each) for each in _THREE.values()]
    of_pairs = prior([one - other for one, other in combinations(values, 2)], 3 * 2)
    assert noise.pairs == of_pairs
    spread = of_pairs.of(values[0] - values[1])
    half = stats.t.ppf(0.975, spread.freedom) * spread.deviation / math.sqrt(3)
    found = contrast(aggregates.find_seeds(), aggregates.find_seeds(activation="relu"), EVAL_LOSS, noise)
    assert ends(found) == pytest.approx((0.08, 0.08 - half, 0.08 + half))


@pytest.mark.parametrize("setting", ["batch", "windows"])
def test_models_that_saw_other_batches_are_not_paired(setting):
    aggregates = on_three_seeds(_THREE)
    off = pl.col("config").str.replace(f'"{setting}": ("?[a-z0-9]+"?)', f'"{setting}": "another"')
    rows = aggregates.runs.with_columns(config=pl.when(pl.col("activation") == "relu").then(off).otherwise("config"))
    aggregates = replace(aggregates, runs=rows)
    noise = seed_noise(aggregates, EVAL_LOSS)
    assert (noise.pairs.groups, noise.pairs.all_freedom) == (3, 4)
    sides = [noise.models.of(np.array(_THREE[each])).of_mean(3) for each in ("gelu", "relu")]
    half = sides[0].less(sides[1], 8).half_width(1, 0.95)
    gelu, relu = aggregates.find_seeds(), aggregates.find_seeds(activation="relu")
    assert ends(contrast(gelu, relu, EVAL_LOSS, noise)) == pytest.approx((0.08, 0.08 - half, 0.08 + half))


def test_without_replicates_there_is_a_value_and_no_interval():
    single = [run for run in runs() if run.seed == 0]
    aggregates = gathered(single, loss=lambda run: _LOSSES[run.activation][run.seed])
    noise = seed_noise(aggregates, EVAL_LOSS)
    assert noise is None
    gelu, relu = aggregates.find_seeds(), aggregates.find_seeds(activation="relu")
    assert ends(level(gelu, EVAL_LOSS, noise)) == (3.38, None, None)
    assert ends(contrast(gelu, relu, EVAL_LOSS, noise)) == (pytest.approx(0.08), None, None)


def test_failed_runs_have_neither_a_level_nor_a_contrast():
    aggregates = made_up({("swiglu", 0): "stuck"})
    noise = seed_noise(aggregates, EVAL_LOSS)
    failed, three = aggregates.find_seeds(activation="swiglu"), aggregates.find_seeds()
    assert level(failed, EVAL_LOSS, noise) == Estimate()
    assert contrast(three, failed, EVAL_LOSS, noise) == Estimate()


def test_noise_is_that_of_the_quantity_asked_for():
    aggregates = gathered(
        runs(), spectrum=lambda run, *where: paper_spectrum(run, *where) | {"pr_post": np.array(10.0 + run.seed)}
    )
    noise = seed_noise(aggregates, PR_POST)
    several = [np.log(10.0 + np.arange(len(losses))) for losses in _LOSSES.values() if len(losses) > 1]
    assert noise.spread.deviation**2 == pytest.approx(sum(((each - each.mean()) ** 2).sum() for each in several) / 6)
