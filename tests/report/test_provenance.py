"""Under which commit results were made, in a real repository."""

import hashlib
import subprocess

import pytest

from nervelab.files import read_json
from nervelab.report.provenance import write_provenance

FILES = {"params.yaml": b"before", "config/bases.yaml": b"bases: {}"}


@pytest.fixture
def repository(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for file in ("params.yaml", "results/report.md"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text("before")
    identity = ["-c", "user.name=somebody", "-c", "user.email=somebody@example.org"]
    for command in (["init", "-q"], ["add", "."], [*identity, "commit", "-q", "-m", "first"]):
        subprocess.run(["git", *command], check=True)
    return tmp_path


@pytest.mark.parametrize(("file", "changed"), [("results/report.md", False), ("params.yaml", True)])
def test_what_is_rendered_is_no_change_since_the_commit(repository, file, changed):
    (repository / file).write_text("after")
    write_provenance(repository / "provenance.json", params=repository / "params.yaml", folders={})
    git = read_json(repository / "provenance.json", "")["git"]
    head = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    assert git == {"commit": head.stdout.strip(), "changed": changed}


def test_every_file_that_was_read_is_known_by_its_hash(repository):
    (repository / "config").mkdir()
    (repository / "config" / "bases.yaml").write_text("bases: {}")
    write_provenance(repository / "provenance.json", params=repository / "params.yaml", folders={})
    hashes = read_json(repository / "provenance.json", "")["params_sha256"]
    expected = {name: hashlib.sha256(text).hexdigest() for name, text in FILES.items()}
    assert hashes == expected


def test_outside_a_repository_there_is_no_commit(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    (tmp_path / "params.yaml").write_text("")
    write_provenance(tmp_path / "provenance.json", params=tmp_path / "params.yaml", folders={})
    assert read_json(tmp_path / "provenance.json", "")["git"] == {"commit": None, "changed": None}
