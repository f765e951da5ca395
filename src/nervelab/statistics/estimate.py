"""A number with its interval."""

from dataclasses import dataclass

TINY = 1e-12
"""What two series must leave unexplained of each other so as not to count as one."""


@dataclass(frozen=True)
class Estimate:
    """A value and the two ends of its interval; None where there is none."""

    value: float | None = None
    low: float | None = None
    high: float | None = None
