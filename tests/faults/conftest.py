"""A whole small project, of which everything but the training was really made."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from nervelab import cli
from tests.faults.world import World, make, no_lock


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project that `world` is a copy of."""
    folder = tmp_path_factory.mktemp("world") / "project"
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("NERVELAB_SCALE", raising=False)
        patch.delenv("NERVELAB_ONLY", raising=False)
        patch.setattr(cli, "hold_job", no_lock)
        folder.mkdir()
        patch.chdir(folder)
        make(folder)
    return folder


@pytest.fixture
def world(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> World:
    """A copy of the project, in which the test then stands."""
    folder = tmp_path / "project"
    shutil.copytree(made, folder)
    monkeypatch.chdir(folder)
    return World(monkeypatch, capsys)
