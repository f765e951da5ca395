"""One Slurm for all of these tests, and the projects that they copy."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.slurm.lab import LONG, Lab
from tests.slurm.rig import Slurm, why_not
from tests.support.project import Project, create

CHECKPOINTS = ("config:", "  - checkpoint_seconds=1")


@pytest.fixture(scope="session")
def slurm() -> Iterator[Slurm]:
    """A Slurm that kills five seconds after it has asked."""
    reason = why_not()
    assert reason is None, f"these tests need a Slurm: {reason}"
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    try:
        with Slurm(folder, kill_wait=5) as running:
            yield running
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(autouse=True)
def empty_queue(request: pytest.FixtureRequest) -> Iterator[None]:
    """No test leaves a job to the next."""
    yield
    if request.node.get_closest_marker("slurm") is None:
        return
    slurm = request.getfixturevalue("slurm")
    slurm.run("scancel", "--user=root")
    slurm.wait(lambda: not slurm.queue())


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The small study, four runs of twenty steps, built by the default profile."""
    project = create(tmp_path_factory.mktemp("small") / "project")
    project.run("nervelab build")
    return project


@pytest.fixture(scope="session")
def long(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Two runs of many steps, built by the default profile."""
    project = create(tmp_path_factory.mktemp("long") / "project")
    project.edit("params.yaml", "steps: 20", f"steps: {LONG}")
    project.edit("params.yaml", "model.placement: [preln, none]", "model.placement: [preln]")
    project.commit("two longer runs")
    project.run("nervelab build")
    return project


@pytest.fixture
def new(tmp_path: Path, slurm: Slurm) -> Lab:
    """The small study, nothing of it made."""
    return Lab.of(create(tmp_path / "created"), tmp_path / "lab", slurm)


@pytest.fixture
def untrained(long: Project, tmp_path: Path, slurm: Slurm) -> Lab:
    """The two longer runs, their data made, to be trained by a job each, which saves a checkpoint each second."""
    lab = Lab.of(long, tmp_path / "lab", slurm)
    for name in ("runs", "results", "aggregates", ".snakemake", "logs", "plans"):
        shutil.rmtree(lab.folder / name)
    lab.profile(*CHECKPOINTS)
    lab.executed(together=1)
    return lab


@pytest.fixture
def same(long: Project) -> Callable[[Lab], None]:
    """Asserts that a lab's runs are, byte for byte, those of the default profile, and each was begun once."""

    def check(lab: Lab) -> None:
        wanted, found = trained(long), trained(lab)
        assert found.keys() == wanted.keys()
        assert [name for name in wanted if found[name] != wanted[name]] == []
        assert lab.begun_anew() == dict.fromkeys(lab.ids().values(), 1)

    return check


def trained(project: Project) -> dict[str, bytes]:
    """The run.json of every run, which hold the hashes of the other files."""
    found = sorted((project.folder / "runs" / "laptop").glob("*/run.json"))
    return {path.parent.name: path.read_bytes() for path in found}
