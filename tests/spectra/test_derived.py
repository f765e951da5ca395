"""Unbiased PR against the definition by four different samples, a published package, and populations that are known."""

from __future__ import annotations

import math
from itertools import permutations

import numpy as np
import pytest

from nervelab.spectra.derived import first_share, mean_fourth_power, unbiased_participation_ratio


def unbiased_pr(rows_ND: np.ndarray) -> float:
    centred_ND = rows_ND - rows_ND.mean(axis=0)
    eigenvalues = np.linalg.eigvalsh(np.cov(rows_ND, rowvar=False))
    fourth = mean_fourth_power(np.linalg.norm(centred_ND, axis=1))
    return unbiased_participation_ratio(eigenvalues, n_tokens=len(rows_ND), fourth=fourth)


def by_four_samples(rows_ND: np.ndarray) -> float:
    """The definition, over all choices of four different rows."""
    above = below = 0.0
    for i, j, k, m in permutations(range(len(rows_ND)), 4):
        one, other = rows_ND[i] - rows_ND[j], rows_ND[k] - rows_ND[m]
        above += (one @ one) * (other @ other)
        below += (one @ other) ** 2
    return above / below


@pytest.mark.parametrize("number", [4, 5, 8])
def test_it_is_the_average_over_four_different_samples(number: int):
    rows = np.random.default_rng(number).exponential(size=(number, 3)) + 2
    assert unbiased_pr(rows) == pytest.approx(by_four_samples(rows), rel=1e-9)


def test_it_is_what_the_package_of_its_authors_gives():
    """`participation_ratio(rows, return_all=True)["row"]` of dimensionality 0.1.4 (Chun et al. 2025)."""
    few = np.sin(np.arange(7 * 4).reshape(7, 4) ** 1.5) + 0.3
    more = np.sin(np.arange(12 * 5).reshape(12, 5) ** 1.5) * np.arange(1, 6) + 1
    assert unbiased_pr(few) == pytest.approx(4.354232331610482, rel=1e-12)
    assert unbiased_pr(more) == pytest.approx(3.2820486422903006, rel=1e-12)


def test_of_few_samples_of_a_gaussian_it_is_the_pr_of_the_population():
    """A hundred times 60 samples in 40 dimensions: the plain PR is low by a third, this by less than its noise."""
    random = np.random.default_rng(0)
    eigenvalues = 1 / np.arange(1, 41) ** 0.5
    true = eigenvalues.sum() ** 2 / (eigenvalues**2).sum()
    samples = [random.standard_normal((60, 40)) * np.sqrt(eigenvalues) + 3 for _ in range(100)]
    found = np.array([unbiased_pr(rows) for rows in samples])
    values = [np.linalg.eigvalsh(np.cov(rows, rowvar=False)) for rows in samples]
    plain = np.mean([each.sum() ** 2 / (each**2).sum() for each in values])
    assert plain < 0.7 * true
    assert found.mean() == pytest.approx(true, abs=4 * found.std() / 10)
    assert found.std() < 0.1 * true


def test_what_has_no_variance_has_no_dimension():
    assert math.isnan(unbiased_pr(np.ones((6, 3))))
    assert math.isnan(first_share(np.zeros(3)))


def test_three_samples_hold_no_four():
    with pytest.raises(ValueError, match="3 samples hold no four"):
        unbiased_participation_ratio([1.0], n_tokens=3, fourth=1.0)


def test_the_first_share_is_that_of_the_largest_eigenvalue():
    assert first_share([1.0, 5.0, 4.0]) == 0.5
