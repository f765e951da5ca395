"""A checkpoint gives back what was saved, and holds it in memory once."""

from __future__ import annotations

import json
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from nervelab.errors import NervelabError
from nervelab.leases import LEASE, Holder, take
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


def test_the_note_of_the_progress_says_how_long_it_takes_at_this_pace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Half a second a step, gone on with at step 10 of 30: the clock is the test's own."""
    now = 100.0
    monkeypatch.setattr("nervelab.training.checkpoint.time.monotonic", lambda: now)
    checkpoints = Checkpoints(tmp_path, seconds=5)
    told = {}
    for step in range(11, 15):
        now += 0.5
        checkpoints.tell(step, 30)
        told[step] = json.loads(checkpoints.progress.read_text())
    assert told[11] == {"step": 11, "saved": 0, "steps": 30, "seconds_left": None}
    assert told[14] == {"step": 14, "saved": 0, "steps": 30, "seconds_left": 8.0}


@pytest.mark.parametrize("verb", ["save", "tell"])
def test_nothing_is_written_under_a_lease_that_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: str):
    lease = take(tmp_path)
    checkpoints = Checkpoints(tmp_path, seconds=0, lease=lease)
    now = time.monotonic() + 1000
    monkeypatch.setattr("nervelab.training.checkpoint.time.monotonic", lambda: now)
    write: dict[str, Callable[[], object]] = {
        "save": lambda: checkpoints.save({"step": 1}),
        "tell": lambda: checkpoints.tell(1, 2),
    }
    write[verb]()
    (tmp_path / LEASE).write_bytes(Holder.here().record())
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert len(before) == {"save": 3, "tell": 2}[verb]  # the lease and the note, and the state
    now += 1000
    with pytest.raises(NervelabError, match="no longer this training's"):
        write[verb]()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
