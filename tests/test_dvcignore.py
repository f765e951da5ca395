"""What DVC leaves out of a stage's dependencies."""

import shutil
from pathlib import Path

import pytest
from dvc.repo import Repo

ROOT = Path(__file__).parents[1]


@pytest.fixture
def ignored(tmp_path):
    """Whether DVC leaves out a file of a project with this project's .dvcignore."""
    shutil.copy(ROOT / ".dvcignore", tmp_path)
    with Repo.init(str(tmp_path), no_scm=True) as repo:
        yield lambda file: repo.dvcignore.is_ignored_file(str(tmp_path / file))


def test_what_python_caches_beside_the_code_is_no_dependency(ignored):
    assert ignored("src/nervelab/__pycache__/cli.cpython-311.pyc")
    assert ignored("src/nervelab/study/config/__pycache__/record.cpython-313.pyc")
    assert not ignored("src/nervelab/cli.py")
