"""What no other linter looks at in the tracked files: characters nobody sees, and text whose encoding the locale picks.

A control character does something else than what is read (a backspace where a regular expression has `\\b`); text that
is read or written without an encoding is other text under another locale.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

# All but tab and line feed; and the marks that turn the order of what is shown, or show nothing.
UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]")
# The tests make their own files, in their own process.
PROGRAMS = ("src/", "workflow/", "benchmarks/")


def unseen(name: str, text: str) -> Iterator[str]:
    """A sentence for every line of a text that holds a character nobody sees."""
    for number, line in enumerate(text.split("\n"), 1):
        for found in UNSEEN.findall(line)[:1]:
            yield f"{name}:{number}: the character U+{ord(found):04X} cannot be seen; write it as an escape"


def unsaid_encodings(name: str, source: str) -> Iterator[str]:
    """A sentence for every call that reads or writes text without saying its encoding."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and _is_text(node) and not any(each.arg == "encoding" for each in node.keywords):
            yield f'{name}:{node.lineno}: the locale picks the encoding here; say encoding="utf-8"'


def _is_text(call: ast.Call) -> bool:
    """Whether a call is read_text, write_text, an `open` in a text mode, or starts a process with text=True."""
    called = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    method = isinstance(call.func, ast.Attribute)
    if any(each.arg in ("text", "universal_newlines") and _constant(each.value) is True for each in call.keywords):
        return True
    if called in ("read_text", "write_text"):
        return method
    if called != "open":
        return False
    modes = [each.value for each in call.keywords if each.arg == "mode"] or call.args[0 if method else 1 :][:1]
    if not modes:
        return not method or not call.args
    mode = _constant(modes[0])
    return isinstance(mode, str) and set(mode) <= set("rwxat+")


def _constant(node: ast.expr) -> object:
    return node.value if isinstance(node, ast.Constant) else None


def main() -> int:
    """Print what was found; exit status 1 if anything was."""
    listed = subprocess.run(["git", "ls-files", "-z"], capture_output=True, check=True).stdout
    found = []
    for name in filter(None, listed.decode().split("\0")):
        path = Path(name)
        if path.is_symlink() or not path.is_file():
            continue
        try:
            text = path.read_bytes().decode()
        except UnicodeDecodeError as error:
            found.append(f"{name}: is not UTF-8 (byte {error.start})")
            continue
        found += unseen(name, text)
        if path.suffix == ".py" and name.startswith(PROGRAMS):
            found += unsaid_encodings(name, text)
    sys.stdout.write("".join(f"{line}\n" for line in found) + f"characters and encodings: {len(found)} left\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
