"""What `make` makes is what its command line says."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def told(*words: str, **variables: str) -> str:
    """The line by which `make` would start a build."""
    answer = subprocess.run(
        ["make", "--dry-run", "--no-print-directory", *words], cwd=ROOT, env={**os.environ, **variables},
        capture_output=True, encoding="utf-8", check=True,
    )  # fmt: skip
    (line,) = (line for line in answer.stdout.splitlines() if "nervelab build" in line or "nervelab.cli build" in line)
    return line


def test_a_scale_and_a_study_are_named_on_the_command_line():
    assert told("SCALE=smoke", "ONLY=activation").endswith("build --scale smoke --only activation")


def test_a_profile_is_named_on_the_command_line():
    assert told("SCALE=smoke", "PROFILE=slurm").endswith('build --scale smoke --profile "slurm"')
    assert told("PROFILE=our profiles/a").endswith('--profile "our profiles/a"')


def test_a_variable_left_in_the_shell_names_none():
    assert told(SCALE="smoke", ONLY="activation", PROFILE="slurm").rstrip().endswith("build")
