"""Being asked to stop: by SIGTERM (a scheduler) or SIGINT (a person), by the job's time limit, or by the build."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from types import FrameType

SPARE_SECONDS = 20.0
"""What a job keeps of its time, at least, to save and to end."""


class Stopped(Exception):
    """The run was asked to stop and has saved where it is; `why` goes on from "stopped"."""

    def __init__(self, why: str, exit_status: int = os.EX_TEMPFAIL) -> None:
        super().__init__(f"stopped {why}; the same command goes on from the checkpoint")
        self.exit_status = exit_status


class StopRequest:
    """Whether the process was asked to stop, by whatever; the loop looks at it between two steps.

    Attributes:
        deadline: when its job ends, in Unix time; None without a limit.
        build_asks: whether the build has asked the holder of the run's lease to stop.
    """

    def __init__(self) -> None:
        self.deadline: float | None = None
        self.build_asks: Callable[[], bool] = lambda: False
        self._number: int | None = None
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._remember)

    def asked(self, reserve: float = SPARE_SECONDS) -> Stopped | None:
        """What to raise, once all is saved, if this is the moment to stop; another step takes `reserve` seconds."""
        if self._number is not None:
            return Stopped(f"by {signal.Signals(self._number).name}", 128 + self._number)
        if self.build_asks():
            return Stopped("as the build asked")
        if self.deadline is not None and time.time() + reserve >= self.deadline:
            return Stopped("before its job's time limit")
        return None

    def _remember(self, number: int, _frame: FrameType | None) -> None:
        self._number = number
