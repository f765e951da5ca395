"""The spread within groups, pooled, and intervals by it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t


@dataclass(frozen=True)
class Spread:
    """A standard deviation within groups, pooled over them.

    Attributes:
        deviation: the root of the squares within groups over their degrees of freedom.
        freedom: members less groups.
        groups: how many groups of two members or more it is pooled over.
    """

    deviation: float
    freedom: int
    groups: int

    def half_width(self, variance_share: float, confidence: float) -> float:
        """Half the width of an interval: Student's t times the deviation times the root of `variance_share`."""
        return float(t.ppf((1 + confidence) / 2, self.freedom)) * self.deviation * math.sqrt(variance_share)


def pooled(groups: Sequence[np.ndarray]) -> Spread | None:
    """The spread within groups of values; a group of one says nothing. None where no group has two."""
    several = [values for values in groups if len(values) > 1]
    if not several:
        return None
    freedom = sum(len(values) - 1 for values in several)
    squares = sum(float(((values - values.mean()) ** 2).sum()) for values in several)
    return Spread(math.sqrt(squares / freedom), freedom, len(several))
