"""Whether the tests are the same tests, in the same order, wherever and whenever they are collected.

The processes of `make test` each collect for themselves and must agree. So they are collected in two circumstances at
once (see `circumstances.py`), which have nothing in common that the name of a test may depend on.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from pathlib import Path

HERE = Path(__file__).resolve().parent
# Without the coercion of its locale and the mode that stands in for it, Python takes C by its word: text is ASCII.
PLAIN_C = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
CIRCUMSTANCES = (
    {"PYTHONHASHSEED": "1", "TZ": "America/St_Johns", "SHIFTED_DAYS": "0", "DIRECTORIES": "forwards", **PLAIN_C},
    {
        "PYTHONHASHSEED": "2",
        "TZ": "Asia/Kathmandu",
        "SHIFTED_DAYS": "400.3",
        "DIRECTORIES": "backwards",
        "LC_ALL": "C.UTF-8",
    },
)


def start(circumstance: Mapping[str, str], report: Path, root: Path) -> subprocess.Popen:
    """A process that collects all tests below `root`, those of every marker, and writes their names to `report`."""
    unsaid = ("PYTHONUTF8", "PYTHONIOENCODING", "PYTHONCOERCECLOCALE", "PYTEST_ADDOPTS", "LANG", "LANGUAGE")
    kept = {name: value for name, value in os.environ.items() if name not in unsaid}
    path = os.pathsep.join(filter(None, [str(HERE), kept.get("PYTHONPATH")]))
    command = [sys.executable, "-m", "pytest", "-p", "circumstances", "-p", "no:cacheprovider", "--collect-only", "-qq"]
    return subprocess.Popen(
        [*command, "-m", "", "--rootdir", str(root)],
        cwd=root,
        env={**kept, **circumstance, "PYTHONPATH": path, "COLLECTED": str(report)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def collected(root: Path) -> list[list[str]]:
    """The names of the tests below `root`, in the order of their collection, in each of the circumstances.

    Raises:
        RuntimeError: A collection failed; with what pytest printed.
    """
    with tempfile.TemporaryDirectory() as folder:
        reports = [Path(folder) / f"{number}.json" for number in range(len(CIRCUMSTANCES))]
        processes = [start(*each, root) for each in zip(CIRCUMSTANCES, reports, strict=True)]
        printed = [process.communicate()[0].decode(errors="replace") for process in processes]
        for process, text, circumstance in zip(processes, printed, CIRCUMSTANCES, strict=True):
            if process.returncode:
                raise RuntimeError(f"{text}\nthe tests cannot be collected under {circumstance}")
        return [json.loads(report.read_bytes()) for report in reports]


def first_difference(here: Sequence[str], there: Sequence[str]) -> str | None:
    """A sentence with the first test in which two collections differ; None if they are the same."""
    for number, (one, other) in enumerate(zip_longest(here, there), 1):
        if one != other:
            both = one in there and other in here
            why = "the order differs" if both else "mend what its name, or its being there, depends on"
            return f"test {number} of the collection is {one or 'missing'} here and {other or 'missing'} there: {why}"
    return None


def main() -> int:
    """Print the first difference; exit status 1 if there is one."""
    try:
        here, there = collected(HERE.parent)
    except RuntimeError as error:
        sys.stdout.write(f"{error}\n")
        return 1
    difference = first_difference(here, there)
    sys.stdout.write(f"{difference or f'collection: {len(here)} tests, the same in both circumstances'}\n")
    return 1 if difference else 0


if __name__ == "__main__":
    sys.exit(main())
