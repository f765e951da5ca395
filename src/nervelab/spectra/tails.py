"""Values that complete a spectrum so that its trace and its squares are exact."""

import numpy as np


def exponential_tail(number: int, trace: float, square: float) -> np.ndarray:
    """The values c r^i, i = 1 .. number, whose sum is `trace` and whose squares sum to `square`, descending.

    Where no r in (0, 1] fits (the squares are less than those of equal values, or more than those of one), the nearest
    does: equal values, or a single one. A trace that is not positive is rounding: all are zero.
    """
    if number <= 0 or trace <= 0:
        return np.zeros(max(number, 0))
    ranks = np.arange(number)

    def excess(rate: float) -> float:
        values = np.exp(-rate * ranks)
        return (values**2).sum() / values.sum() ** 2 - square / trace**2

    values = np.exp(-_root(excess, 0.0, 50.0) * ranks)
    return values * (trace / values.sum())


def matched(values: np.ndarray, trace: float, square: float | None) -> np.ndarray:
    """The values a v^b whose sum is `trace` and whose squares sum to `square`: their order and their zeros stay.

    Where no b in [0, 8] fits, the nearest does; without squares to match b is 1.
    """
    positive = values[values > 0]
    if not len(positive):
        return values
    logs = np.log(positive / positive.max())

    def excess(power: float) -> float:
        raised = np.exp(power * logs)
        return (raised**2).sum() / raised.sum() ** 2 - square / trace**2

    raised = np.exp(logs * (1.0 if square is None else _root(excess, 0.0, 8.0)))
    result = np.zeros_like(values)
    result[values > 0] = raised * (trace / raised.sum())
    return result


def _root(function, low: float, high: float) -> float:
    """Where an increasing function crosses zero, by bisection; the nearer end if it does not."""
    if function(low) >= 0:
        return low
    if function(high) <= 0:
        return high
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (low, middle) if function(middle) > 0 else (middle, high)
    return (low + high) / 2
