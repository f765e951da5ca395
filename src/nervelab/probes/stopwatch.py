"""Seconds spent in parts of a measurement."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch


class Stopwatch:
    """Adds up the seconds of its blocks; waits for a GPU, whose work would be charged to the next block otherwise."""

    def __init__(self) -> None:
        self.seconds = 0.0

    @contextmanager
    def running(self, device: torch.device) -> Iterator[None]:
        """Count the seconds of the block."""
        _wait(device)
        start = time.perf_counter()
        try:
            yield
            _wait(device)
        finally:
            self.seconds += time.perf_counter() - start


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
