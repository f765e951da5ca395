"""The code fingerprint: what changes it, what does not, and that every Python agrees."""

from __future__ import annotations

import ast
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nervelab.errors import NervelabError
from nervelab.study.components import MODEL_FAMILIES, OPTIMISERS, TRAINER
from nervelab.study.fingerprint import ROOT, canonical_source, closure, fingerprint

GOLDEN_SOURCE = '''
"""A docstring that does not count."""
from math import pi as tau


@decorated(1, key="x")
class Box(Base):
    """Nor does this."""

    size: float = 1e-3

    def area(self, scale=2, *rest: int, name: str = "é\\n", **more) -> float:
        """Nor this."""
        if (found := self.size) > 0 and not rest:
            return f"{found:.2f} {name!r} {'a' 'b'}"
        return [x**2 for x in range(10) if x % 2] or {**more, "k": b"\\x00", "n": None, "t": (True, ..., 1j)}


async def main():
    async with thing() as it:
        try:
            yield await it
        except (ValueError, TypeError) as error:
            raise RuntimeError from error
    match it:
        case {"a": [1, *others]}:
            del others
    lambda a, /, b, *, c=1: a if b else c
'''
GOLDEN_HASH = "b50ea0fed1b5fa10d7ee544b3109581199aca2e39f2b19bd536909150a8d22b4"


@pytest.fixture
def package(tmp_path: Path) -> Path:
    root = tmp_path / "nervelab"
    shutil.copytree(ROOT, root, ignore=shutil.ignore_patterns("__pycache__"))
    return root


ENTRIES = [TRAINER, MODEL_FAMILIES["decoder"], OPTIMISERS["adamw"]]


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_the_canonical_text_of_a_tree_is_golden():
    """A literal hash: it holds on every supported Python, and changes only if the walk does."""
    assert hashlib.sha256(canonical_source(ast.parse(GOLDEN_SOURCE)).encode()).hexdigest() == GOLDEN_HASH


def test_a_docstring_a_comment_and_formatting_cost_nothing(package: Path):
    before = fingerprint(ENTRIES, package)
    edit(package / "models" / "ffn.py", '"""W_down phi(W_up x), d_model', '"""Something else, d_model')
    edit(
        package / "models" / "ffn.py",
        "        super().__init__()\n",
        "        super().__init__()  # why\n\n\n",
    )
    assert fingerprint(ENTRIES, package) == before


def test_what_only_a_type_checker_reads_costs_nothing(package: Path):
    """So that the records of the configuration can move without a training."""
    before = fingerprint(ENTRIES, package)
    block = "\nif TYPE_CHECKING:\n    from nervelab.study.config import AdamW\n"
    edit(
        package / "optim" / "adamw.py",
        "from nervelab.study.config import AdamW",
        "from nervelab.elsewhere import AdamW",
    )
    assert fingerprint(ENTRIES, package) == before
    edit(package / "optim" / "adamw.py", block.replace("study.config", "elsewhere"), "")
    edit(package / "optim" / "adamw.py", "from typing import TYPE_CHECKING\n", "")
    assert fingerprint(ENTRIES, package) == before


def test_a_name_of_ones_own_is_no_type_checker(package: Path):
    """`TYPE_CHECKING = True` runs what stands below it."""
    path = package / "models" / "norms.py"
    path.write_text(path.read_text() + "\nTYPE_CHECKING = True\nif TYPE_CHECKING:\n    EPS = 1\n")
    one = fingerprint(ENTRIES, package)
    path.write_text(path.read_text().replace("EPS = 1\n", "EPS = 2\n"))
    assert fingerprint(ENTRIES, package) != one


def test_what_runs_where_no_type_checker_does_counts(package: Path):
    """The other branch of `if TYPE_CHECKING` runs: it counts, and so do the modules that it imports."""
    path = package / "optim" / "adamw.py"
    text = path.read_text()
    path.write_text(
        text + "\nimport typing\nif typing.TYPE_CHECKING:\n    A = 1\nelse:\n    from nervelab.optim import dion\n"
    )
    one = fingerprint(ENTRIES, package)
    assert "nervelab.optim.dion" in closure(ENTRIES, package)
    path.write_text(path.read_text().replace("A = 1", "A = 2"))
    assert fingerprint(ENTRIES, package) == one
    path.write_text(path.read_text().replace("import dion", "import muon"))
    assert fingerprint(ENTRIES, package) != one


@pytest.mark.parametrize("module", ["models/decoder.py", "training/loop.py", "spectra/metrics.py", "files.py"])
def test_a_change_of_code_in_the_closure_changes_it(package: Path, module: str):
    before = fingerprint(ENTRIES, package)
    path = package / module
    path.write_text(path.read_text() + "\n_ADDED = 1\n")
    assert fingerprint(ENTRIES, package) != before


@pytest.mark.parametrize(
    "module",
    ["study/config/run.py", "layout.py", "study/components.py", "cli.py", "report/page.py", "data/corpus.py"],
)
def test_code_that_no_training_runs_does_not_count(package: Path, module: str):
    before = fingerprint(ENTRIES, package)
    path = package / module
    path.write_text(path.read_text() + "\n_ADDED = 1\n")
    assert fingerprint(ENTRIES, package) == before


@pytest.mark.parametrize("entry", ["nervelab.data.corpus", "nervelab.data.tokens"])
def test_a_new_record_changes_no_corpus_and_no_tokens(package: Path, entry: str):
    before = fingerprint([entry], package)
    path = package / "study" / "config" / "data.py"
    path.write_text(path.read_text() + "\n_ADDED = 1\n")
    assert fingerprint([entry], package) == before


def test_an_edit_of_how_text_is_tokenised_changes_no_images(package: Path):
    before = fingerprint(["nervelab.data.images"], package)
    path = package / "data" / "tokens.py"
    path.write_text(path.read_text() + "\n_ADDED = 1\n")
    assert fingerprint(["nervelab.data.images"], package) == before


def test_another_model_family_does_not_count(package: Path):
    before = fingerprint(ENTRIES, package)
    (package / "models" / "other.py").write_text("from nervelab.models import ffn\n")
    assert fingerprint(ENTRIES, package) == before
    assert fingerprint([*ENTRIES, "nervelab.models.other"], package) != before


def test_another_optimiser_does_not_count(package: Path):
    before = fingerprint(ENTRIES, package)
    edit(package / "optim" / "dion.py", "math.sqrt(m / n)", "math.sqrt(n / m)")
    assert fingerprint(ENTRIES, package) == before


def test_a_template_of_a_package_in_the_closure_counts(package: Path):
    entries = ["nervelab.report.report"]
    before = fingerprint(entries, package)
    template = next((package / "report" / "templates").glob("*.j2"))
    template.write_text(template.read_text() + "\n")
    assert fingerprint(entries, package) != before


def test_an_entry_that_does_not_exist_is_refused(package: Path):
    with pytest.raises(NervelabError, match=r"nervelab\.models\.absent is no module"):
        fingerprint(["nervelab.models.absent"], package)


@pytest.mark.parametrize("optimiser", ["adamw", "dion"])
def test_every_module_that_a_trainer_loads_lies_in_the_closure(optimiser: str):
    """Loads the trainer and its components in a process of their own and compares what came in."""
    entries = [TRAINER, MODEL_FAMILIES["decoder"], OPTIMISERS[optimiser]]
    code = (
        "import sys, importlib; sys.argv = ['x']\n"
        f"for name in {entries!r}: importlib.import_module(name)\n"
        "print(*[name for name in sys.modules if name.split('.')[0] == 'nervelab'])"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    inside = closure(entries)
    assert len(loaded) > 10
    assert [name for name in loaded if name not in inside] == []
