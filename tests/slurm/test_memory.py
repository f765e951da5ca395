"""A job that runs out of memory is tried with more; what does not suffice is named, with the number to raise."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from slurm.lab import Lab

pytestmark = [pytest.mark.slurm, pytest.mark.xdist_group("slurm")]

BUILD = "nervelab build activation --profile slurm"


def test_each_attempt_has_more_memory(untrained: Lab, same: Callable[[Lab], None]):
    """A training takes 0.7 to 0.8 GB, the Snakemakes of its job 0.3: the first attempt has less, the last more."""
    untrained.executed(memory_mb=300)
    untrained.run(BUILD)
    same(untrained)
    states = untrained.slurm.ask("sacct", "-n", "-P", "-o", "JobID,State,ReqMem,WorkDir").splitlines()
    mine = [line.split("|") for line in states if str(untrained.folder) in line]
    assert {state for _, state, *_ in mine} & {"OUT_OF_MEMORY", "FAILED"}
    assert len({memory for *_, memory, _ in mine}) > 1


def test_what_does_not_suffice_is_named_with_the_number_to_raise(untrained: Lab):
    untrained.executed(memory_mb=100)
    untrained.edit("workflow/profiles/slurm/config.yaml", "retries: 3", "retries: 1")
    said = untrained.run(BUILD, fails=True)
    (sentence,) = (line for line in said.splitlines() if line.startswith("error: "))
    assert re.fullmatch(
        r"error: \S+-[0-9a-f]{10}: job \d+ ran out of memory at 600 MB: raise memory_mb of the size of its model in "
        r"workflow/execution.yaml\.",
        sentence,
    )
