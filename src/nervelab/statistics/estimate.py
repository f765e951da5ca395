"""A number with its interval."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Estimate:
    """A value and the two ends of its interval; None where there is none."""

    value: float | None = None
    low: float | None = None
    high: float | None = None
