import math

import numpy as np
import pytest

from nervelab.analysis.bootstrap import MINIMUM, block_length, interval, mean_interval, resample
from nervelab.study.decisions import Analysis


def test_resamples_are_blocks_of_neighbours_that_wrap(settings):
    checkpoints = 16
    rows = np.arange(checkpoints, dtype=float)[:, None]
    drawn = resample(rows, settings)
    assert drawn.shape == (settings.bootstrap, checkpoints, 1)
    blocks = drawn[..., 0].reshape(-1, block_length(checkpoints))
    assert np.all(np.diff(blocks) % checkpoints == 1)


def test_the_same_seed_draws_the_same(settings):
    rows = np.random.default_rng(1).standard_normal((16, 1))
    np.testing.assert_array_equal(resample(rows, settings), resample(rows, settings))
    other = settings.model_copy(update={"seed": 1})
    assert not np.array_equal(resample(rows, settings), resample(rows, other))


def test_an_interval_is_made_of_quantiles_and_skips_the_undefined(settings):
    values = np.append(np.arange(101.0), np.nan)
    assert interval(values, settings) == pytest.approx((2.5, 97.5))


def test_too_few_checkpoints_have_no_interval(settings):
    assert mean_interval(np.ones(MINIMUM - 1), settings) is None


def test_the_interval_scales_with_the_data(settings):
    values = np.random.default_rng(2).standard_normal(16)
    low, high = mean_interval(values, settings)
    assert low < values.mean() < high
    assert mean_interval(10 * values + 3, settings) == pytest.approx((10 * low + 3, 10 * high + 3))


@pytest.mark.parametrize("persistence", [0.0, 0.5])
def test_coverage_of_the_mean_of_a_correlated_series(persistence):
    """An autoregressive series with mean 0 has 0 inside a 90 % interval about as often as it says."""
    trials, hits = 200, 0
    for trial in range(trials):
        shocks = np.random.default_rng(trial).standard_normal(66)
        series = [0.0]
        for shock in shocks:
            series.append(persistence * series[-1] + shock)
        settings = Analysis(window_start=0, confidence=0.9, bootstrap=200, seed=trial)
        low, high = mean_interval(np.array(series[-16:]), settings)
        hits += low <= 0 <= high
    margin = 3 * math.sqrt(0.9 * 0.1 / trials)
    assert hits / trials > 0.9 - margin
