"""When the job that this process belongs to ends."""

from __future__ import annotations

import os
import re
from collections.abc import Callable

from nervelab import slurm

# What squeue says of the time that is left: days-hours:minutes:seconds, the larger of which may be left out.
_LEFT = re.compile(r"(?:(?:(?P<days>\d+)-)?(?P<hours>\d+):)?(?P<minutes>\d+):(?P<seconds>\d+)")


def deadline(minutes: float | None, now: float, told: Callable[[str, str], str | None] = slurm.told) -> float | None:
    """When to have ended, in Unix time; None without a limit.

    Args:
        minutes: the time limit of the job, which began not before now; None without one.
        now: the Unix time.
        told: asks the queue; what it has left for this process's job counts where that is less.
    """
    if minutes is None:
        return None
    job = os.environ.get(slurm.JOB)
    left = seconds_left(told(job, "%L") or "") if job else None
    return now + min(minutes * 60, float("inf") if left is None else left)


def seconds_left(said: str) -> int | None:
    """Seconds, from what squeue calls the time left; None where it gives none (UNLIMITED, NOT_SET, INVALID)."""
    found = _LEFT.fullmatch(said)
    if found is None:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds
