"""Being asked to stop: by SIGTERM (a scheduler) or SIGINT (a person)."""

import signal
from types import FrameType


class Stopped(Exception):
    """The run was asked to stop and has saved where it is."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}; the same command goes on from the checkpoint")
        self.exit_status = 128 + number


class StopRequest:
    """Remembers that a signal asked the process to stop; the loop looks at it between two steps."""

    def __init__(self) -> None:
        self.number: int | None = None
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._remember)

    def _remember(self, number: int, _frame: FrameType | None) -> None:
        self.number = number
