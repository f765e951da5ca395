"""Which rendered folders git keeps: .gitignore decides, and README names the same."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import get_args

import pytest

from nervelab import layout
from nervelab.study.params import ScaleName, read_params

ROOT = Path(__file__).resolve().parents[1]
SENTENCE = re.search(r"git keeps (.*?); it\s+ignores (.*?)\. ", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
KEPT, IGNORED = (re.findall(r"`(.*?)`", part) for part in SENTENCE.groups())


@pytest.fixture
def folders(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every folder that a build of this project can render into."""
    monkeypatch.chdir(ROOT)
    studies = read_params(layout.PARAMS).studies
    asked = [(scale, named) for scale in get_args(ScaleName) for named in (True, False)]
    found = {
        layout.results_folder(scale, named=named, only=only) for scale, named in asked for only in (None, *studies)
    }
    return sorted(f"{folder.as_posix()}/" for folder in found)


@pytest.fixture
def ignored(tmp_path: Path):
    """Whether git ignores a file in a project with this project's .gitignore and no other settings."""
    shutil.copy(ROOT / ".gitignore", tmp_path)
    git = ["git", "-C", str(tmp_path), "-c", "core.excludesFile=/dev/null"]
    subprocess.run([*git, "init", "-q"], check=True)

    def ask(file: str) -> bool:
        return subprocess.run([*git, "check-ignore", "-q", file], check=False).returncode == 0

    return ask


def test_git_keeps_and_ignores_what_readme_says(folders: list[str], ignored):
    rendered = ("index.html", "tables/learning-rates.csv", "figures/figure.svg", "stamps/report-0.0.json")
    for file in (folder + name for folder in folders for name in rendered):
        below = [each for each in IGNORED if file.startswith(each)]
        assert ignored(file) == (bool(below) and file not in KEPT), file


def test_readme_names_no_folder_that_is_not_there_to_be_rendered_into(folders: list[str], ignored):
    assert not [name for name in KEPT if ignored(name)]
    assert [name for name in IGNORED if not any(folder.startswith(name) for folder in folders)] == []
    assert KEPT[0] in folders


def test_every_folder_is_named_once(folders: list[str]):
    for folder in folders:
        assert folder == KEPT[0] or sum(folder.startswith(name) for name in IGNORED) == 1, folder
