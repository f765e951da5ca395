"""A run counts as whole only where each of its files is there and is what run.json vouches for."""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from nervelab.runfiles import RUN_FILES, RUN_RESULTS, whole_run


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The folder of a run, its tables only begun and ended as Parquet."""
    for name in RUN_FILES:
        (tmp_path / name).write_bytes(b"{\n}\n" if name.endswith(".json") else b"PAR1 a table PAR1")
    files = {name: sha256((tmp_path / name).read_bytes()).hexdigest() for name in RUN_RESULTS}
    (tmp_path / "run.json").write_text(json.dumps({"id": "0123456789", "files": files}))
    return tmp_path


def test_a_whole_run_is_what_its_run_json_says(run: Path):
    assert whole_run(run)["id"] == "0123456789"


@pytest.mark.parametrize("name", RUN_FILES)
@pytest.mark.parametrize(
    "damage",
    [Path.unlink, lambda path: path.write_bytes(path.read_bytes()[:-3]), lambda path: path.write_bytes(b"")],
    ids=["deleted", "cut short", "empty"],
)
def test_a_run_of_which_a_file_is_damaged_is_not_whole(run: Path, name: str, damage: Callable[[Path], object]):
    damage(run / name)
    assert whole_run(run) is None


@pytest.mark.parametrize("content", ["[]", "{}", '{"files": []}', '{"files": {"history.parquet": "0"}}'])
def test_a_run_json_that_vouches_for_nothing_makes_no_run_whole(run: Path, content: str):
    (run / "run.json").write_text(content)
    assert whole_run(run) is None


@pytest.mark.parametrize("name", RUN_RESULTS)
def test_one_changed_byte_is_noticed(run: Path, name: str):
    content = (run / name).read_bytes()
    (run / name).write_bytes(bytes([content[0] ^ 1]) + content[1:])
    assert whole_run(run) is None
