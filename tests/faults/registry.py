"""What can go wrong, as rows that a test walks and docs/faults.md lists.

A test module anywhere below tests/ contributes rows by a list `FAULTS` at its top level, over which one of its tests
is parametrised: `@pytest.mark.parametrize("fault", FAULTS, ids=name)`.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

TESTS = Path(__file__).resolve().parents[1]
GROUPS = (
    "A damaged file",
    "A disk that refuses",
    "The environment",
    "One run that is broken",
    "From outside",
    "What is asked for",
)


@dataclass(frozen=True)
class Fault:
    """A fault, and what is promised of it.

    Attributes:
        id: its name, unique in its group.
        group: one of `GROUPS`.
        fault: what happens.
        sentence: what is said, the whole sentence, with … for what differs from case to case; or in words, what
            happens in place of a sentence.
        kept: what is still there afterwards.
        act: does it in a world that the test hands over, and gives what was said; None where the test does it.
    """

    id: str
    group: str
    fault: str
    sentence: str
    kept: str
    act: Callable[[Any], str] | None = None

    def is_said_by(self, said: str) -> bool:
        """Whether something said is the sentence."""
        return re.fullmatch(".*".join(map(re.escape, self.sentence.split("…"))), said) is not None


def name(fault: Fault) -> str:
    """The name of a fault in a test's."""
    return fault.id.replace(" ", "-")


def modules() -> Iterator[ModuleType]:
    """The test modules that contribute, by their names."""
    for path in sorted(TESTS.rglob("test_*.py")):
        if re.search(r"^FAULTS\b", path.read_text(encoding="utf-8"), flags=re.MULTILINE):
            yield importlib.import_module(".".join(path.relative_to(TESTS.parent).with_suffix("").parts))


def faults() -> list[Fault]:
    """All of them, by group, in the order of their modules."""
    found = [fault for module in modules() for fault in module.FAULTS]
    return sorted(found, key=lambda fault: GROUPS.index(fault.group))
