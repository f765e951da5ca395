"""`nervelab prune` removes what nothing asks for, whatever it meets, and nothing else."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from nervelab import cli
from nervelab.stages.prune import remove, size, unwanted
from nervelab.study.runs import load_project
from tests.support.project import write_texts

PARAMS = Path(__file__).parent.parent / "workflow" / "params.yaml"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with one wanted run and three that nothing asks for."""
    root = tmp_path / "project"
    root.mkdir()
    shutil.copy(PARAMS, root / "params.yaml")
    write_texts(root / "texts")
    monkeypatch.chdir(root)
    for name in (load_project().runs[0].name, "one-0123456789", "three-0123456789", "two-0123456789"):
        (root / "runs" / "laptop" / name).mkdir(parents=True)
        (root / "runs" / "laptop" / name / "run.json").write_text("{}")
    return root


def prune(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["nervelab", "prune", "--yes"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code


def left(folder: Path) -> set[str]:
    return {path.name for path in (folder / "runs" / "laptop").iterdir()}


def test_what_cannot_be_removed_is_named_and_the_rest_is_gone(folder, monkeypatch, capsys):
    unlink = Path.unlink

    def refuse(path: Path, **options: bool) -> None:
        if path.parent.name == "one-0123456789":
            raise PermissionError(13, "Permission denied", str(path))
        unlink(path, **options)

    monkeypatch.setattr(Path, "unlink", refuse)
    assert prune(monkeypatch) == 2
    said = capsys.readouterr()
    assert said.err == (
        "error: runs/laptop/one-0123456789/run.json (Permission denied) could not be removed: mend that, then run "
        "`nervelab prune --yes` again.\n"
    )
    assert "could not remove all of runs/laptop/one-0123456789\n" in said.out
    assert left(folder) == {load_project().runs[0].name, "one-0123456789"}
    monkeypatch.undo()
    monkeypatch.chdir(folder)
    assert prune(monkeypatch) == 0
    assert left(folder) == {load_project().runs[0].name}


def test_of_a_link_only_the_link_goes(folder, tmp_path, monkeypatch):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "mine.txt").write_text("x" * 1000)
    (folder / "runs" / "laptop" / "link-0123456789").symlink_to(elsewhere)
    (folder / "runs" / "laptop" / "one-0123456789" / "inside").symlink_to(elsewhere)
    (folder / "runs" / "laptop" / "one-0123456789" / "nowhere").symlink_to("nowhere")
    assert size([folder / "runs" / "laptop" / "link-0123456789"]) < 1000
    assert prune(monkeypatch) == 0
    assert left(folder) == {load_project().runs[0].name}
    assert (elsewhere / "mine.txt").read_text() == "x" * 1000


def test_what_vanishes_meanwhile_did_not_stay(folder):
    paths = unwanted()
    shutil.rmtree(paths[0])
    assert size(paths) == 4
    assert [remove(path) for path in paths] == [{}, {}, {}]
    assert left(folder) == {load_project().runs[0].name}


def test_a_folder_that_refuses_its_listing_is_named(folder, monkeypatch):
    listing = sys.modules["os"].scandir

    def refuse(path: str) -> object:
        if str(path).endswith("one-0123456789"):
            raise PermissionError(13, "Permission denied", str(path))
        return listing(path)

    monkeypatch.setattr("os.scandir", refuse)
    kept = remove(Path("runs/laptop/one-0123456789"))
    assert kept == {Path("runs/laptop/one-0123456789"): "Permission denied"}
