"""A build of a corpus that is killed goes on, to the same bytes."""

import json
import os
import signal
import subprocess
import sys

import pytest

from nervelab.data import parts
from nervelab.data.cleaning import Cleaner
from nervelab.data.corpus import PARTIAL, build_corpus
from nervelab.errors import NervelabError
from nervelab.study.config import TextDataset
from tests.data.made_up_texts import make_texts

PART_BYTES = 10_000
FILES = ("documents.parquet", "manifest.json")


@pytest.fixture
def dataset(tmp_path):
    """Three shards of training text and a published validation set.

    There are rows without text, copies of kept documents, and more text than is wanted: the document that no longer
    fits into validation is in training, too.
    """
    training, published = make_texts(120), make_texts(60, seed=1)
    for shard in range(3):
        rows = [*training[shard::3], None, published[shard], "", *published[20:][shard::3]]
        write(tmp_path / "train" / f"{shard}.jsonl", rows)
    write(tmp_path / "valid" / "validation.jsonl", published)
    return TextDataset.model_validate(
        {
            "modality": "text",
            "source": {
                "kind": "hub",
                "train": str(tmp_path / "train"),
                "validation": str(tmp_path / "valid"),
                "column": "content",
                "licence": "various",
            },
            "cleaning": "none",
            "megabytes": 0.1,
            "validation": 0.2,
            "test": 0.1,
            "seed": 3,
        }
    )


def write(path, rows):
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps({"content": text}) + "\n" for text in rows))


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch):
    monkeypatch.setattr(parts, "PART_BYTES", PART_BYTES)


def build(dataset, folder, corpus_id="abc"):
    build_corpus(dataset, corpus_id=corpus_id, folder=folder, wheels=folder.parent / "wheels")
    return [(folder / name).read_bytes() for name in FILES]


KILLED = f"""
import os, pkgutil, signal, sys
from pathlib import Path
from nervelab.data import parts
from nervelab.data.corpus import build_corpus
from nervelab.study.config import TextDataset

parts.PART_BYTES = {PART_BYTES}
owner, _, name = sys.argv[3].rpartition(".")
owner, left = pkgutil.resolve_name(owner), int(sys.argv[4])
original = getattr(owner, name)

def killed(*arguments, **options):
    global left
    left -= 1
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
    return original(*arguments, **options)

setattr(owner, name, killed)
dataset = TextDataset.model_validate_json(sys.argv[1])
build_corpus(dataset, corpus_id="abc", folder=Path(sys.argv[2]), wheels=Path(sys.argv[2]))
"""


def kill_at(point, count, dataset, folder):
    """Build in a process that kills itself at the `count`-th call of a function."""
    command = [sys.executable, "-c", KILLED, dataset.model_dump_json(), str(folder), point, str(count)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    outcome = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert outcome.returncode == -signal.SIGKILL, outcome.stderr


def test_killed_again_and_again(dataset, tmp_path, monkeypatch):
    expected = build(dataset, tmp_path / "whole")
    folder = tmp_path / "killed"
    kill_at("nervelab.data.parts.Parts.add", 30, dataset, folder)  # while documents are collected
    first = json.loads((folder / PARTIAL / "state.json").read_text())
    assert first["parts"] > 0
    kill_at("nervelab.data.parts.write_sealed", 2, dataset, folder)  # between a part and its state
    second = json.loads((folder / PARTIAL / "state.json").read_text())
    assert second["parts"] == first["parts"] + 1
    kill_at("nervelab.data.parts.Parts.tables", 2, dataset, folder)  # while parts are joined
    assert list((folder / PARTIAL).glob(".documents.parquet.*.part"))
    assert parts.Parts(folder / PARTIAL, "abc").progress.stream == 2
    assert not list((folder / PARTIAL).glob(".*"))
    judged = []
    monkeypatch.setattr(Cleaner, "reason_to_drop", lambda *arguments: judged.append(arguments))
    assert build(dataset, folder) == expected
    assert not judged
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)


def test_stopped_at_every_document(dataset, tmp_path, monkeypatch):
    expected = build(dataset, tmp_path / "whole")
    documents = sum(json.loads(expected[1])["documents"].values())
    add = parts.Parts.add
    seen, stop = [], -6

    def stopped(self, kept):
        seen.append(kept)
        if len(seen) == stop:
            raise KeyboardInterrupt
        add(self, kept)

    monkeypatch.setattr(parts.Parts, "add", stopped)
    while (stop := stop + 7) <= documents:
        seen.clear()
        with pytest.raises(KeyboardInterrupt):
            build(dataset, tmp_path / "stopped")
        assert build(dataset, tmp_path / "stopped") == expected
        # No more is read twice than fits into a part.
        assert len(seen) <= documents + 1 + PART_BYTES / min(kept.size for kept in seen)


def stop_before(step, monkeypatch, dataset, folder):
    """Build until a function is called, in this process."""

    def interrupt(*_arguments, **_options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(step, interrupt)
        with pytest.raises(KeyboardInterrupt):
            build(dataset, folder)


def test_parts_of_another_corpus_are_not_taken(dataset, tmp_path, monkeypatch):
    folder = tmp_path / "corpus"
    stop_before("nervelab.data.corpus.write_manifest", monkeypatch, dataset, folder)
    other = dataset.model_copy(update={"seed": 4})
    assert build(other, folder, "def") == build(other, tmp_path / "whole", "def")


def test_a_repository_that_moves_is_read_at_one_commit(dataset, tmp_path, monkeypatch, moving_hub):
    """Other commits have other texts: a build that goes on reads the commit that it began with, and says so."""
    for commit, seed in (("first", 2), ("second", 3)):
        for name in ("train", "valid"):
            folder = moving_hub.root / "owner" / name / commit
            folder.parent.mkdir(parents=True, exist_ok=True)
            write(folder / "train.jsonl", make_texts(100, seed=seed + 2 * (name == "valid")))
    hub = {"train": "owner/train", "validation": "owner/valid", "validation_revision": "second"}
    dataset = dataset.model_copy(update={"source": dataset.source.model_copy(update=hub)})
    expected = build(dataset, tmp_path / "whole")
    add, added = parts.Parts.add, []

    def stopped(self, kept):
        added.append(kept)
        if len(added) == 60:
            raise KeyboardInterrupt
        add(self, kept)

    with monkeypatch.context() as patch:
        patch.setattr(parts.Parts, "add", stopped)
        with pytest.raises(KeyboardInterrupt):
            build(dataset, tmp_path / "stopped")
    assert json.loads((tmp_path / "stopped" / PARTIAL / "state.json").read_text())["stream"] == 1
    moving_hub.head = "third"
    assert build(dataset, tmp_path / "stopped") == expected
    read = {"revision": "first", "validation_revision": "second"}
    assert json.loads(expected[1])["revisions"] == read
    pinned = dataset.model_copy(update={"source": dataset.source.model_copy(update=read)})
    assert build(pinned, tmp_path / "pinned")[0] == expected[0]


def test_damaged_part_is_one_sentence(dataset, tmp_path, monkeypatch):
    folder = tmp_path / "corpus"
    stop_before("nervelab.data.corpus.write_manifest", monkeypatch, dataset, folder)
    part = folder / PARTIAL / "00001.parquet"
    part.write_bytes(part.read_bytes()[:-20])
    with pytest.raises(NervelabError, match=r"00001\.parquet is missing or damaged: delete the folder .*\.partial"):
        build(dataset, folder)


def test_refused_corpus_leaves_no_parts(dataset, tmp_path):
    with pytest.raises(NervelabError, match="raise dataset"):
        build(dataset.model_copy(update={"megabytes": 0.0001}), tmp_path / "corpus")
    assert list((tmp_path / "corpus").iterdir()) == []
