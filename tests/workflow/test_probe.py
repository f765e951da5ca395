"""The stage that probes, with the real Snakemake and DVC: what makes it stale, kills, and a reader without torch."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from tests.support.project import Project

BASE = "gpt2-codeparrot"
NOT_PROBED = "4 of the runs are not probed, as torch is not installed here: `nervelab probe` does it where it is"
# In a folder on PYTHONPATH: to this Python torch is not installed.
WITHOUT_TORCH = """
import importlib.util, sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError("No module named 'torch'", name="torch")

known = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name == "torch" else known(name, package)
sys.meta_path.insert(0, Missing())
"""


@dataclass(frozen=True)
class Elsewhere(Project):
    """The project as somebody sees it who has no torch."""

    @property
    def environment(self) -> dict[str, str]:
        blocked = self.folder.parent / "no-torch"
        blocked.mkdir(exist_ok=True)
        (blocked / "sitecustomize.py").write_text(WITHOUT_TORCH)
        whole = super().environment
        return {**whole, "PYTHONPATH": f"{whole['PYTHONPATH']}{os.pathsep}{blocked}"}


def ask(project: Project) -> Project:
    """The same project over the base whose runs are probed: a name is in no run's id, so nothing is trained."""
    for old, new in (("  tiny:\n", f"  {BASE}:\n"), ("base: tiny", f"base: {BASE}")):
        project.edit("params.yaml", old, new)
    return project


def folders(project: Project) -> list[Path]:
    return sorted((project.folder / "probes" / "laptop").glob("*"))


def contents(project: Project) -> dict[str, bytes]:
    return {
        f"{path.parent.name}/{path.name}": path.read_bytes() for each in folders(project) for path in each.iterdir()
    }


def made(project: Project) -> int:
    """How many probes the last job made: neither times tell, as Snakemake touches all outputs of a job, nor inodes."""
    return (project.folder / "logs" / "probe.log").read_text(encoding="utf-8").count("probed ")


def gathered(project: Project) -> int:
    return pl.read_parquet(project.folder / "aggregates" / "laptop" / "probes.parquet").height


@pytest.mark.slow
def test_what_is_asked_for_is_probed_and_nothing_else_is_made_again(built: Project):
    assert folders(built) == []
    assert gathered(built) == 0
    trained = built.run_times()
    ask(built).run("dvc repro")
    assert built.run_times() == trained
    assert len(folders(built)) == 4
    assert gathered(built) == 4 * 2 * (2 + 2 * 2)
    assert built.dvc_is_clean()
    assert built.snakemake_is_clean()
    assert "6 folders are whole" in built.run("nervelab check trained")
    assert "10 folders are whole" in built.run("nervelab check")
    whole, first = contents(built), [each.name for each in folders(built)]
    assert made(built) == 4

    # One that is deleted is made again, the same, and no other.
    (folders(built)[1] / "probes.parquet").unlink()
    assert built.jobs("probe") == 1
    built.run("snakemake")
    assert contents(built) == whole
    assert made(built) == 1
    assert built.snakemake_is_clean()

    # Other draws are other probes, and other results; the old ones stay until they are pruned.
    built.edit("params.yaml", "probe: {draws: 2", "probe: {draws: 1")
    assert not built.dvc_is_clean()
    built.run("dvc repro")
    assert built.run_times() == trained
    assert len(folders(built)) == 8
    assert gathered(built) == 4 * 2 * (2 + 2)
    assert built.snakemake_is_clean()
    assert f"removed probes/laptop/{first[0]}" in built.run("nervelab prune --yes")
    assert len(folders(built)) == 4
    assert built.snakemake_is_clean()


def test_killed_it_goes_on_where_it_stopped(built: Project):
    ask(built).edit("params.yaml", "probe: {draws: 2", "probe: {draws: 100")
    process = built.start("nervelab probe --threads 1")
    while not times_so_far(built):
        assert process.poll() is None
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    done = times_so_far(built)
    assert 0 < len(done) < 4
    said = built.run("nervelab probe")
    assert f"{len(done)} probes are there and whole, and are not made again" in said
    assert f"({4 - len(done)} of {4 - len(done)})" in said
    assert len(folders(built)) == 4
    assert done.items() <= times_so_far(built).items()
    assert not list(built.folder.glob("probes/**/*.part"))
    assert built.jobs("probe") == 0


def times_so_far(project: Project) -> dict[str, int]:
    found = (project.folder / "probes" / "laptop").glob("*/probe.json")
    return {path.parent.name: path.stat().st_mtime_ns for path in found}


def test_a_reader_without_torch_renders_the_rest(built: Project):
    reader = Elsewhere(ask(built).folder)
    assert NOT_PROBED in reader.run("nervelab build")
    assert gathered(reader) == 0
    assert reader.snakemake_is_clean()
    status = " ".join(reader.run("nervelab status").split())
    assert "4 of 4 runs done, results fresh, without probes" in status
    assert NOT_PROBED in status
    assert "torch is not installed here" in reader.run("nervelab probe", fails=True)
    reader.run("nervelab check")

    # Where torch is, they are missing; once they are there, the results without them are stale.
    assert built.jobs("probe") == 1
    built.run("nervelab probe")
    assert not reader.snakemake_is_clean()
    assert "there are 4 probes, and were 0" in " ".join(built.run("nervelab status").split())
    reader.run("snakemake")
    assert gathered(reader) == 4 * 2 * (2 + 2 * 2)
    assert reader.snakemake_is_clean()
    assert built.snakemake_is_clean()


@pytest.mark.parametrize("command", ["snakemake", "nervelab build", "nervelab check"])
def test_a_probe_that_was_cut_short_is_refused_by_name(built: Project, command: str):
    ask(built).run("nervelab probe")
    path = folders(built)[0] / "probes.parquet"
    path.write_bytes(path.read_bytes()[:-100])
    said = built.run(command, fails=True)
    assert f"{path.relative_to(built.folder)} is damaged" in said
    assert "delete it and run make again" in said
