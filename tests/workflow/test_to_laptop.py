"""From the machine that trained to one without torch, which renders: by DVC through S3 or a folder, or by a copy."""

from __future__ import annotations

import os
import re
import shutil
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer

from tests.support.project import Project

BUCKET = "runs"
S3 = {
    "AWS_ACCESS_KEY_ID": "tests",
    "AWS_SECRET_ACCESS_KEY": "tests",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "NO_PROXY": "127.0.0.1",
    "no_proxy": "127.0.0.1",
}


@dataclass(frozen=True)
class Laptop(Project):
    """A project on a machine where there is no torch."""

    @property
    def environment(self) -> dict[str, str]:
        """As elsewhere, but that `import torch` fails, in whatever process."""
        imports = os.pathsep.join((str(self.folder / "src"), str(self.folder.parent / "no-torch")))
        return {**super().environment, "PYTHONPATH": imports}


@pytest.fixture
def laptop(template: Project, tmp_path: Path) -> Laptop:
    """A clone of the built project on a laptop: what git holds, and nothing of what was rendered."""
    lacking = tmp_path / "no-torch"
    lacking.mkdir()
    (lacking / "torch.py").write_text("raise ImportError('there is no torch here')\n")
    clone = Laptop(template.clone(tmp_path / "laptop").folder)
    shutil.rmtree(clone.folder / "results")
    assert "there is no torch here" in clone.run("python -m torch", fails=True)
    return clone


@pytest.fixture
def s3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of an S3 server on this machine that holds an empty bucket; nothing else of S3 is asked."""
    nothing = tmp_path / "aws"
    nothing.touch()
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(nothing))
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    for name, value in S3.items():
        monkeypatch.setenv(name, value)
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    opener.open(urllib.request.Request(f"{address}/{BUCKET}", method="PUT")).close()
    yield address
    server.stop()


def rendered(project: Project) -> dict[str, bytes]:
    """Every file below results/, but for what says when it was made: files of their own, and the commit on the page."""
    results = project.folder / "results"
    apart = ("provenance.json", "stamps", "timings")
    files = [path for path in sorted(results.rglob("*")) if path.is_file()]
    return {
        name: re.sub(rb"git\.(commit|changed)\W.{0,20}?([0-9a-f]{40}|yes|no)\b", b"", path.read_bytes())
        for path in files
        if (name := path.relative_to(results).as_posix()).partition("/")[0] not in apart
    }


def is_whole_and_renders_the_same(laptop: Laptop, template: Project) -> None:
    assert "6 folders are whole" in laptop.run("nervelab check")
    said = laptop.run("nervelab build")
    assert "open results/index.html" in said
    assert laptop.results() == template.results()
    assert rendered(laptop) == rendered(template)
    assert laptop.snakemake_is_clean()


@pytest.mark.slow
def test_by_dvc_through_s3(built: Project, laptop: Laptop, s3: str, template: Project):
    for project in (built, laptop):
        project.run(f"dvc remote add -d -f cloud s3://{BUCKET}/nervelab")
        project.run(f"dvc remote modify cloud endpointurl {s3}")
    built.run("dvc push")
    laptop.run("dvc pull")
    is_whole_and_renders_the_same(laptop, template)


def test_by_dvc_through_a_folder(built: Project, laptop: Laptop, template: Project):
    for project in (built, laptop):
        project.run(f"dvc remote add -d -f shared {laptop.folder.parent / 'shared'}")
    built.run("dvc push")
    laptop.run("dvc pull")
    is_whole_and_renders_the_same(laptop, template)


@pytest.mark.slow
def test_by_a_copy_of_the_runs(built: Project, laptop: Laptop, template: Project):
    shutil.copytree(built.folder / "runs", laptop.folder / "runs")
    laptop.run("nervelab build tokens")
    is_whole_and_renders_the_same(laptop, template)


def flip(path: Path) -> None:
    """Change one bit in the middle of a file, which keeps its length."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(content)


def test_a_run_that_was_damaged_on_the_way_is_refused_by_name(built: Project, laptop: Laptop):
    shutil.copytree(built.folder / "runs", laptop.folder / "runs")
    shutil.copytree(built.folder / "data", laptop.folder / "data")
    name = sorted(laptop.runs())[1]
    flip(laptop.folder / "runs" / "laptop" / name / "spectra.parquet")
    for command in ("nervelab check", "nervelab build"):
        said = laptop.run(command, fails=True)
        assert f"runs/laptop/{name}/spectra.parquet is damaged" in said, said
    assert not (laptop.folder / "results" / "index.html").exists()
