"""The linter of `make lint` for characters nobody sees and encodings nobody said."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

LINT = runpy.run_path(str(Path(__file__).parents[2] / "workflow" / "lint_text.py"))


@pytest.mark.parametrize("character", ["\b", "\x00", "\r", "\x1b", "\x7f", "\u200b", "\u202e", "\ufeff"])
def test_a_character_that_cannot_be_seen_is_named_with_its_line(character: str):
    (said,) = LINT["unseen"]("a.py", f"one\ntwo {character}\n\tthree é – “ok”\n")
    assert said.startswith(f"a.py:2: the character U+{ord(character):04X}")


@pytest.mark.parametrize(
    "call",
    [
        "path.read_text()",
        "path.write_text(text)",
        "open(name)",
        "open(name, 'w')",
        "path.open()",
        "path.open('a')",
        "path.open(mode='r')",
        "run(command, text=True)",
        "run(command, universal_newlines=True)",
    ],
)
def test_text_whose_encoding_the_locale_picks_is_named(call: str):
    (said,) = LINT["unsaid_encodings"]("a.py", f"import os\n{call}\n")
    assert said.startswith("a.py:2: ")
    assert not list(LINT["unsaid_encodings"]("a.py", f"{call[:-1]}, encoding='utf-8')".replace("(, ", "(")))


@pytest.mark.parametrize(
    "call",
    ["path.read_bytes()", "path.open('rb')", "open(name, 'wb')", "os.open(name, flags)", "write_text(path, text)"],
)
def test_what_is_not_text_is_let_be(call: str):
    assert not list(LINT["unsaid_encodings"]("a.py", call))
