"""Tails and corrections whose trace and squares are given."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nervelab.spectra.tails import exponential_tail, matched


@given(st.integers(2, 500), st.floats(1e-3, 5), st.floats(1e-6, 1e6))
def test_an_exponential_is_found_again(number: int, rate: float, scale: float) -> None:
    values = scale * np.exp(-rate * np.arange(number))
    np.testing.assert_allclose(exponential_tail(number, values.sum(), (values**2).sum()), values, atol=1e-6 * scale)


@pytest.mark.parametrize(
    ("number", "trace", "square", "expected"),
    [(4, 8.0, 1.0, [2, 2, 2, 2]), (3, 2.0, 9.0, [2, 0, 0]), (3, 0.0, 1.0, [0, 0, 0]), (3, -1e-9, 0.0, [0, 0, 0]),
     (0, 1.0, 1.0, []), (1, 5.0, 25.0, [5])],
)  # fmt: skip
def test_what_no_exponential_has_is_met_as_nearly_as_can_be(number, trace, square, expected) -> None:
    assert exponential_tail(number, trace, square) == pytest.approx(expected, abs=1e-12)


def test_values_are_raised_to_a_power_that_fits() -> None:
    wanted = 3 * np.array([1.0, 0.5, 0.2, 0.0]) ** 1.7
    found = matched(np.array([10.0, 5.0, 2.0, 0.0]), wanted.sum(), (wanted**2).sum())
    assert found == pytest.approx(wanted)
    assert matched(np.array([10.0, 5.0]), 3.0, None) == pytest.approx([2, 1])
    assert not matched(np.zeros(3), 1.0, 1.0).any()
