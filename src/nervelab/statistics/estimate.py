"""A number with its interval."""

from dataclasses import astuple, dataclass

from nervelab.statistics.exponential import exponential

TINY = 1e-12
"""What two series must leave unexplained of each other so as not to count as one."""


@dataclass(frozen=True)
class Estimate:
    """A value and the two ends of its interval; None where there is none."""

    value: float | None = None
    low: float | None = None
    high: float | None = None


def of_logarithm(estimate: Estimate) -> Estimate:
    """The estimate of a number from that of its logarithm."""
    return Estimate(*(None if end is None else exponential(end) for end in astuple(estimate)))
