"""The built project that the workflow tests copy: made once for all test processes."""

from __future__ import annotations

import fcntl
import shutil
from pathlib import Path

import pytest
from project import Project, create


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Project:
    """A project built by `dvc repro`, committed and pushed to its DVC remote. Never changed: copy or clone it."""
    base = tmp_path_factory.getbasetemp() if worker_id == "master" else tmp_path_factory.getbasetemp().parent
    folder = base / "template" / "project"
    with (base / "template.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (base / "template" / "ready").exists():
            shutil.rmtree(folder.parent, ignore_errors=True)  # what a test process that failed here left
            project = create(folder)
            project.run("dvc repro")
            assert {run["outcome"] for run in project.runs().values()} == {"finished"}
            project.commit("the results")
            project.run("dvc push")
            (base / "template" / "ready").touch()
    return Project(folder)


@pytest.fixture
def built(template: Project, tmp_path: Path) -> Project:
    """A copy of the built project."""
    return template.copy(tmp_path / "project")


@pytest.fixture
def pulled(template: Project, tmp_path: Path) -> Project:
    """A clone of the built project with its data pulled."""
    clone = template.clone(tmp_path / "clone")
    clone.run("dvc pull")
    return clone
