"""Intervals hold as often as they say: a few trials of each kind with every build, many by `make test-all`."""

import pytest
from scipy.stats import binom

from nervelab.statistics.coverage import BEYOND, COVERAGE, TRIALS, WANTED
from tests.statistics.coverage_cases import CASES, coverage

FEW = 20
KIND = {"argnames": "trial", "argvalues": CASES, "ids": [each.__name__ for each in CASES]}


def test_every_kind_has_been_tried():
    assert list(COVERAGE) == [trial.__name__ for trial in CASES]
    outside = {kind for kind, share in COVERAGE.items() if not WANTED[0] <= share <= WANTED[1]}
    assert outside == set(BEYOND)


@pytest.mark.parametrize(**KIND)
def test_no_kind_misses_grossly(trial):
    """So few hits as this bound does not allow, an interval that holds in 90 % has once in 10,000 times."""
    assert coverage(trial, FEW) * FEW >= binom.ppf(1e-4, FEW, WANTED[0])


@pytest.mark.slow
@pytest.mark.parametrize(**KIND)
def test_a_kind_holds_as_often_as_is_printed(trial):
    assert coverage(trial, TRIALS) == pytest.approx(COVERAGE[trial.__name__], abs=0.0051)  # two trials, by platform
