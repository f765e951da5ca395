"""Writes docs/faults.md from the tests: `python -m tests.faults.document`."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

from tests.faults.registry import faults

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "faults.md"
HEAD = """\
# What happens when something goes wrong

Written by `python -m tests.faults.document` from the tests: each row is a case of one. A fault ends in one
sentence, which names file and remedy, on standard error after `error: `, and in exit status 2; … stands for what
differs from case to case. Nothing that was whole is lost by it, and nothing half-written is ever taken for whole.
"""
FOOT = """
## What is trusted

- Nothing that is fetched or read as data runs code, and nothing of it is unpacked to disk: pickles may name arrays
  alone, YAML and JSON are plain values, archives are read in memory and within bounds, tensors as numbers.
- A plan names the code that trains its run. It is followed only if that code lies in this folder and was frozen here
  (`.nervelab.frozen` has the record), or is the folder's own. Whoever can write to this folder can change its code as
  well: that is not guarded against.
- A checkpoint is read as numbers, and only for the run that it says it is of. That these numbers are right, its hash
  does not say: it tells damage, not intent.
- A path in config/data.yaml is the choice of who writes it, also one that leaves the folder: files below it are read as
  text, and nothing is written there. Names of studies, scales and runs, out of which paths are made, cannot leave it.
"""


def page() -> str:
    """The text of docs/faults.md."""
    parts = [HEAD]
    for group, members in groupby(faults(), key=lambda fault: fault.group):
        rows = [f"| {_cell(each.fault)} | {_cell(each.sentence)} | {_cell(each.kept)} |" for each in members]
        parts.append(
            "\n".join((f"\n## {group}\n", "| fault | what happens | what is kept |", "|---|---|---|", *rows, ""))
        )
    return "".join((*parts, FOOT))


def _cell(text: str) -> str:
    return text.replace("|", r"\|").replace("<", "&lt;")


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(), encoding="utf-8")
