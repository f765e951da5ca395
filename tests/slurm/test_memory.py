"""A job that runs out of memory is tried with more; what does not suffice is named, with the number to raise."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from tests.slurm.lab import Lab

pytestmark = pytest.mark.slurm

BUILD = "nervelab build activation --profile slurm"


def test_each_attempt_has_more_memory(untrained: Lab, same: Callable[[Lab], None]):
    """A job of such a training takes 600 to 700 MB: the first attempt has 550, the fourth 1000."""
    untrained.executed(memory_mb=150)
    untrained.run(BUILD)
    same(untrained)
    said = (untrained.folder / "logs" / "snakemake.log").read_text(encoding="utf-8")
    assert "ran out of memory at 550 MB" in said
    assert "mem_mb=700" in said


def test_what_does_not_suffice_is_named_with_the_number_to_raise(untrained: Lab):
    untrained.executed(memory_mb=100)
    untrained.edit("workflow/profiles/slurm/config.yaml", "retries: 3", "retries: 0")
    said = untrained.run(BUILD, fails=True)
    (sentence,) = (line for line in said.splitlines() if line.startswith("error: "))
    assert re.fullmatch(
        r"error: \S+-[0-9a-f]{10}: job \d+ ran out of memory at 500 MB: raise memory_mb of the size of its model in "
        r"workflow/execution.yaml\.",
        sentence,
    )
