"""A checkpoint gives back what was saved, and holds it in memory once."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from nervelab.training.checkpoint import Checkpoints

BYTES = 2**24


def test_what_is_loaded_is_what_was_saved(tmp_path: Path):
    checkpoints = Checkpoints(tmp_path, seconds=0)
    assert checkpoints.load() is None
    for step in (3, 4):
        checkpoints.save({"step": step, "weights": torch.arange(1000.0) * step, "norm": None})
        found = checkpoints.load()
        assert torch.equal(found.pop("weights"), torch.arange(1000.0) * step)
        assert found == {"step": step, "norm": None}


@pytest.mark.parametrize("verb", ["save", "load"])
def test_the_serialised_state_is_in_memory_only_once(tmp_path: Path, verb: str):
    """Serialised it is bytes of Python's, which tracemalloc sees; the tensors are torch's, which it does not."""
    state = {"weights": torch.ones(BYTES // 4)}
    checkpoints = Checkpoints(tmp_path, seconds=0)
    checkpoints.save(state)
    work: dict[str, Callable[[], object]] = {"save": lambda: checkpoints.save(state), "load": checkpoints.load}
    tracemalloc.start()
    try:
        work[verb]()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert BYTES < peak < 1.5 * BYTES
