"""Which code is this: the folder's own, or none at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from nervelab.errors import NervelabError
from nervelab.study.code import folders_own, refuse_other_code
from nervelab.study.fingerprint import ROOT
from nervelab.study.runs import load_project


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text("scale: laptop\n")
    return tmp_path


def test_another_copy_of_the_package_is_refused_and_both_are_named(folder: Path):
    package = folder / "src" / "nervelab"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    assert folders_own() == folder / "src"
    for refusing in (refuse_other_code, load_project):
        with pytest.raises(NervelabError) as refused:
            refusing()
        assert str(ROOT) in str(refused.value)
        assert str(package) in str(refused.value)
        assert "pip install -e ." in str(refused.value)


def test_the_same_folder_by_another_path_is_the_folders_own(folder: Path):
    (folder / "src").symlink_to(ROOT.parent)
    refuse_other_code()


def test_a_folder_with_a_params_yaml_alone_uses_the_installed_package(folder: Path):
    (folder / "src" / "somebody_else").mkdir(parents=True)
    assert folders_own() is None
    refuse_other_code()


def test_a_folder_that_is_no_project_is_let_be(folder: Path):
    (folder / "params.yaml").unlink()
    (folder / "src").symlink_to(ROOT.parent)
    assert folders_own() is None
