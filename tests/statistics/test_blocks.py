import itertools
import math

import numpy as np
import pytest

from nervelab.statistics.blocks import (
    MINIMUM,
    Draws,
    block_length,
    interval,
    mean_interval,
    resample,
    resampled_means,
)

CONFIDENCE, DRAWS = 0.95, Draws(400, seed=0)


def test_resamples_are_blocks_of_neighbours_that_wrap():
    checkpoints = 16
    rows = np.arange(checkpoints, dtype=float)[:, None]
    drawn = resample(rows, DRAWS)
    assert drawn.shape == (DRAWS.resamples, checkpoints, 1)
    blocks = drawn[..., 0].reshape(-1, block_length(checkpoints))
    assert np.all(np.diff(blocks) % checkpoints == 1)


def test_the_same_seed_draws_the_same():
    rows = np.random.default_rng(1).standard_normal((16, 1))
    np.testing.assert_array_equal(resample(rows, DRAWS), resample(rows, DRAWS))
    other = Draws(DRAWS.resamples, seed=1)
    assert not np.array_equal(resample(rows, DRAWS), resample(rows, other))


def test_an_interval_is_made_of_quantiles_and_skips_the_undefined():
    values = np.append(np.arange(101.0), np.nan)
    assert interval(values, CONFIDENCE) == pytest.approx((2.5, 97.5))


@pytest.mark.parametrize("checkpoints", [9, 10])  # blocks that fit, and a last one that is cut
def test_means_are_those_of_every_resample(checkpoints):
    values = np.random.default_rng(3).standard_normal(checkpoints)
    length = block_length(checkpoints)
    starts = itertools.product(range(checkpoints), repeat=math.ceil(checkpoints / length))
    drawn = [[(start + k) % checkpoints for start in each for k in range(length)][:checkpoints] for each in starts]
    every = np.sort(values[np.array(drawn)].mean(axis=1))
    means, shares = resampled_means(values)
    assert shares.sum() == pytest.approx(1)
    for level in (0.025, 0.3, 0.9751):
        found = means[np.searchsorted(np.cumsum(shares), level)]
        assert found == pytest.approx(np.quantile(every, level, method="inverted_cdf"), abs=1e-4)


def test_means_are_those_that_drawn_resamples_tend_to():
    values = np.random.default_rng(4).standard_normal(12)
    drawn = resample(values[:, None], Draws(4000, seed=0)).mean(axis=(1, 2))
    means, shares = resampled_means(values)
    assert (means * shares).sum() == pytest.approx(values.mean(), abs=1e-4)
    spread = math.sqrt((means**2 * shares).sum() - values.mean() ** 2)
    assert spread == pytest.approx(drawn.std(), rel=0.05)


def test_the_interval_of_the_mirrored_series_is_mirrored():
    values = np.random.default_rng(6).standard_normal(12)
    low, high = mean_interval(values, CONFIDENCE)
    assert mean_interval(-values, CONFIDENCE) == pytest.approx((-high, -low), abs=1e-3)


def test_a_constant_series_has_an_interval_without_width():
    assert mean_interval(np.full(12, 0.25), CONFIDENCE) == (0.25, 0.25)


def test_too_few_checkpoints_have_no_interval():
    assert mean_interval(np.ones(MINIMUM - 1), CONFIDENCE) is None


def test_the_interval_scales_with_the_data():
    values = np.random.default_rng(2).standard_normal(16)
    low, high = mean_interval(values, CONFIDENCE)
    assert low < values.mean() < high
    assert mean_interval(10 * values + 3, CONFIDENCE) == pytest.approx((10 * low + 3, 10 * high + 3))
