"""The built projects that the workflow tests copy: each is made once for all test processes."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.project import Project, create

RELU = "model.activation: [gelu, relu]"
LRELU = "model.activation: [gelu, learnable-leaky-relu]"


def made_once(base: Path, name: str, make: Callable[[Path], None]) -> Project:
    """The project of this name, made by the first test process that wants it. Never changed: copy or clone it."""
    folder = base / name
    with (base / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "ready").exists():
            shutil.rmtree(folder, ignore_errors=True)  # what a test process that failed here left
            folder.mkdir()
            make(folder / "project")
            (folder / "ready").touch()
    return Project(folder / "project")


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The folder that all test processes of this session share."""
    base = tmp_path_factory.getbasetemp()
    return base if worker_id == "master" else base.parent


@pytest.fixture(scope="session")
def template(shared: Path) -> Project:
    """A project built by `dvc repro`, committed and pushed to its DVC remote."""

    def make(folder: Path) -> None:
        project = create(folder)
        project.run("dvc repro")
        assert {run["outcome"] for run in project.runs().values()} == {"finished"}
        project.commit("the results")
        project.run("dvc push")

    return made_once(shared, "template", make)


@pytest.fixture(scope="session")
def edited_template(shared: Path, template: Project) -> Project:
    """The template after an edit that asks for two other runs, which Snakemake alone has built."""

    def make(folder: Path) -> None:
        project = template.copy(folder)
        project.edit("params.yaml", RELU, LRELU)
        assert "dvc commit" in project.run("nervelab build")

    return made_once(shared, "edited", make)


@pytest.fixture
def built(template: Project, tmp_path: Path) -> Project:
    """A copy of the built project: DVC and git know all of it."""
    return template.copy(tmp_path / "project")


@pytest.fixture
def edited(edited_template: Project, tmp_path: Path) -> Project:
    """A copy of the edited project: six runs, of which four are wanted, two of them known to Snakemake alone."""
    return edited_template.copy(tmp_path / "project")


@pytest.fixture
def pulled(template: Project, tmp_path: Path) -> Project:
    """A clone of the built project with its data pulled."""
    clone = template.clone(tmp_path / "clone")
    clone.run("dvc pull")
    return clone
