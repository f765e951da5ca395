"""The nulls have the moments that they promise: against closed forms, and exactly where it is exact."""

from __future__ import annotations

import numpy as np
import pytest

from nervelab.nulls.draws import Nulls

WIDTH, INPUTS = 64, 24


def skewed(number: int, inputs: int = INPUTS) -> np.ndarray:
    """Correlated inputs that are far from Gaussian, with a mean."""
    random = np.random.default_rng(1)
    return random.exponential(size=(number, inputs)) ** 1.5 @ random.standard_normal((inputs, inputs)) + 1


def weight(width: int = WIDTH, inputs: int = INPUTS) -> np.ndarray:
    return np.random.default_rng(2).standard_normal((width, inputs)) / inputs**0.5


def factor(weight_Dd: np.ndarray) -> np.ndarray:
    return np.linalg.qr(weight_Dd, mode="r")


def arc_cosine(covariance_DD: np.ndarray) -> np.ndarray:
    """E[relu(h_i) relu(h_j)] of a Gaussian of mean zero (Cho & Saul 2009)."""
    deviation_D = np.sqrt(np.diag(covariance_DD))
    cosine_DD = np.clip(covariance_DD / np.outer(deviation_D, deviation_D), -1, 1)
    angle_DD = np.arccos(cosine_DD)
    return np.outer(deviation_D, deviation_D) * (np.sin(angle_DD) + (np.pi - angle_DD) * cosine_DD) / (2 * np.pi)


def test_behind_a_relu_the_gaussian_null_has_the_arc_cosine_kernel():
    inputs, maps = skewed(40_000), weight()
    inputs -= inputs.mean(axis=0)
    null = np.maximum(Nulls(inputs, factor(maps)).gaussian(np.random.default_rng(0)) @ maps.T, 0)
    expected = arc_cosine(np.cov(inputs @ maps.T, rowvar=False))
    products = null[:, :, None] * null[:, None, :4]  # against four units, as all products at once take much memory
    error = products.std(axis=0) / len(null) ** 0.5
    assert (np.abs(products.mean(axis=0) - expected[:, :4]) < 6 * error).all()
    # The trained activations themselves, which are skewed, have another: the test would see it.
    own = np.maximum(inputs @ maps.T, 0)
    own = (own[:, :, None] * own[:, None, :4]).mean(axis=0)
    assert (np.abs(own - expected[:, :4]) > 6 * error).mean() > 0.5


@pytest.mark.parametrize("width", [WIDTH, INPUTS, 10])
@pytest.mark.parametrize("kind", ["gaussian", "shuffled"])
def test_mean_and_covariance_of_what_follows_are_kept_but_for_sampling(kind: str, width: int):
    inputs, maps = skewed(20_000), weight(width)
    null = getattr(Nulls(inputs, factor(maps)), kind)(np.random.default_rng(0)) @ maps.T
    own = inputs @ maps.T
    deviation = own.std(axis=0)
    assert (np.abs(null.mean(axis=0) - own.mean(axis=0)) < 5 * deviation / 20_000**0.5).all()
    scale = np.outer(deviation, deviation)
    assert (np.abs(np.cov(null, rowvar=False) - np.cov(own, rowvar=False)) < 0.06 * scale).all()
    assert np.abs(null - own).max() > deviation.max()


def test_shuffling_keeps_each_component_exactly_and_parts_them():
    inputs, maps = skewed(2000), weight()
    own = inputs @ maps.T
    null = Nulls(inputs, factor(maps)).shuffled(np.random.default_rng(0)) @ maps.T
    values, vectors = np.linalg.eigh(np.cov(own, rowvar=False))
    vectors = vectors[:, values > 1e-9 * values.max()]
    assert vectors.shape[1] == INPUTS
    before, after = (rows @ vectors for rows in (own, null))
    np.testing.assert_allclose(np.sort(after, axis=0), np.sort(before, axis=0), atol=1e-8 * np.abs(before).max())
    assert (np.abs(after - before).max(axis=0) > 0.1 * before.std(axis=0)).all()
    # Not one permutation for all: components of a token are no longer those of any token.
    ranks = np.argsort(np.argsort(after, axis=0), axis=0)
    origin = np.argsort(before, axis=0)
    tokens = np.take_along_axis(origin, ranks, axis=0)
    assert (tokens[:, 0] != tokens[:, 1]).mean() > 0.99


def test_what_the_map_does_not_see_stays_at_its_mean():
    inputs, maps = skewed(500), weight()
    maps[:, -1] = 0
    null = Nulls(inputs, factor(maps)).shuffled(np.random.default_rng(0))
    np.testing.assert_allclose(null[:, -1], inputs[:, -1].mean(), rtol=1e-6)


def test_another_seed_draws_others_and_the_same_the_same():
    nulls = Nulls(skewed(100), factor(weight()))
    for draw in (nulls.gaussian, nulls.shuffled):
        first, again, other = (draw(np.random.default_rng(seed)) for seed in (0, 0, 1))
        assert (first == again).all()
        assert (first != other).any()
