"""A job that outlived its Snakemake is waited for; one that was killed holds nothing, and its leavings are removed."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

OWNER = """
import sys
from pathlib import Path
from nervelab.build.locks import hold_job
hold_job("tokens-a", Path("data"))
print("held", flush=True)
sys.stdin.read()
"""


def owner(folder: Path) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", OWNER], cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def test_a_job_has_one_owner_and_a_killed_one_leaves_nothing(tmp_path: Path):
    half_written = tmp_path / "data" / "tokens" / ".train.bin.x1.part"
    half_written.parent.mkdir(parents=True)
    whole = half_written.with_name("train.bin")
    whole.touch()
    first = owner(tmp_path)
    assert first.stdout.readline() == "held\n"
    half_written.touch()
    lock = os.open(tmp_path / ".locks" / "tokens-a", os.O_RDWR)
    with pytest.raises(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    second = owner(tmp_path)
    first.kill()
    assert second.stdout.readline() == "held\n"
    assert not half_written.exists()
    assert whole.exists()
    second.communicate()
    first.communicate()
    os.close(lock)
