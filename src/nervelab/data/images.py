"""Building an image corpus: a bounded sample of labelled images, in the splits that they are published in."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from nervelab.data.folders import write_manifest
from nervelab.data.image_sources import LabelledImage, licences, open_source, revisions
from nervelab.data.unigram import unigram_loss
from nervelab.datafiles import DOCUMENTS, MANIFEST, SPLITS
from nervelab.errors import NervelabError
from nervelab.files import write_with

if TYPE_CHECKING:
    from nervelab.study.config import ImageDataset

IMAGES_IN_A_ROW_GROUP = 5000
SCHEMA = pa.schema([("split", pa.string()), ("label", pa.int64()), ("image", pa.binary()), ("source", pa.string())])


def build_images(dataset: ImageDataset, *, corpus_id: str, folder: Path, wheels: Path) -> None:
    """Write documents.parquet and, last, manifest.json into `folder`.

    An image is its size * size * 3 bytes, the rows of one channel after those of the other (CHW); one that is smaller
    stands in the middle, on black. Of each split the first images are kept, in an order that `dataset.seed`
    determines: `dataset.training_images` of the training split, `dataset.validation_images` of the others (of the test
    split, which only some sources have, at most so many). Equal input gives equal bytes.
    Every row group of the file holds images of one split only.

    The manifest has, beside what that of a text corpus has: `images` and `bytes` of each split, `size`, `classes`, the
    `mean` and `std` of each channel over the training split (of pixels in [0, 1]), and `unigram_loss`: the
    cross-entropy, in nats an image, of the validation labels under the add-one-smoothed frequencies of the training
    labels.

    Args:
        dataset: source, size, and how many images.
        corpus_id: the identity that the manifest records.
        folder: where the corpus goes; an older manifest there is removed first.
        wheels: the cache of fetched wheels.

    Raises:
        NervelabError: the source cannot be read, has too few images, or one that does not fit.
    """
    (folder / MANIFEST).unlink(missing_ok=True)
    kept = {split: _Kept(dataset) for split in SPLITS}
    commits = revisions(dataset.source)
    source = dataset.source.model_copy(update=commits)

    def write(path: Path) -> None:
        streams = open_source(source, seed=dataset.seed, wheels=wheels)
        with pq.ParquetWriter(path, SCHEMA, compression="zstd") as writer:
            for split, images in streams.items():
                wanted = dataset.training_images if split == "train" else dataset.validation_images
                rows = kept[split].rows(split, islice(images, wanted))
                while group := list(islice(rows, IMAGES_IN_A_ROW_GROUP)):
                    writer.write_table(pa.Table.from_pylist(group, schema=SCHEMA), row_group_size=len(group))
                if split != "test":
                    _refuse_too_few(split, kept[split].count, wanted)

    write_with(folder / DOCUMENTS, write)
    manifest = {
        "id": corpus_id,
        "dataset": dataset.model_dump(mode="json"),
        "stands_for": dataset.stands_for,
        "licences": licences(dataset.source),
        "revisions": commits,
        "images": {split: each.count for split, each in kept.items()},
        "bytes": {split: each.count * dataset.size**2 * 3 for split, each in kept.items()},
        "size": dataset.size,
        "classes": dataset.classes,
        **kept["train"].channel_statistics(),
        "unigram_loss": unigram_loss(*(kept[split].label_counts() for split in ("train", "validation"))),
    }
    write_manifest(folder, manifest, [DOCUMENTS])


class _Kept:
    """What is counted of the images of a split while they are written."""

    def __init__(self, dataset: ImageDataset) -> None:
        self._dataset = dataset
        self._labels: Counter[int] = Counter()
        # Whole numbers, so that the sums are exact in any order.
        self._sum_C, self._squares_C = np.zeros(3, np.int64), np.zeros(3, np.int64)

    @property
    def count(self) -> int:
        return self._labels.total()

    def rows(self, split: str, images: Iterator[LabelledImage]) -> Iterator[dict]:
        for image in images:
            if not 0 <= image.label < self._dataset.classes:
                raise NervelabError(
                    f"{image.source} has an image of class {image.label}: mend dataset.classes "
                    f"({self._dataset.classes}, counted from 0) in config/data.yaml."
                )
            pixels_CHW = _fitted(image, self._dataset.size)
            whole_CN = pixels_CHW.reshape(3, -1).astype(np.int64)
            self._sum_C += whole_CN.sum(axis=1)
            self._squares_C += (whole_CN**2).sum(axis=1)
            self._labels[image.label] += 1
            yield {"split": split, "label": image.label, "image": pixels_CHW.tobytes(), "source": image.source}

    def label_counts(self) -> np.ndarray:
        return np.array([self._labels[label] for label in range(self._dataset.classes)], np.int64)

    def channel_statistics(self) -> dict[str, list[float]]:
        n = self.count * self._dataset.size**2
        sums, squares = self._sum_C.tolist(), self._squares_C.tolist()
        deviations = [math.sqrt((n * square - total**2) / n**2) for total, square in zip(sums, squares, strict=True)]
        # A channel that is the same everywhere is only centred.
        return {"mean": [total / n / 255 for total in sums], "std": [each / 255 or 1.0 for each in deviations]}


def _fitted(image: LabelledImage, size: int) -> np.ndarray:
    """The image in the middle of a black one of the size asked for, as [3, size, size]."""
    height, width, _ = image.pixels_HWC.shape
    if max(height, width) > size:
        raise NervelabError(
            f"{image.source} has an image of {height} x {width} pixels: raise size ({size}) of the data set in "
            "config/data.yaml."
        )
    fitted_CHW = np.zeros((3, size, size), np.uint8)
    top, left = (size - height) // 2, (size - width) // 2
    fitted_CHW[:, top : top + height, left : left + width] = image.pixels_HWC.transpose(2, 0, 1)
    return fitted_CHW


def _refuse_too_few(split: str, count: int, wanted: int | None) -> None:
    if count >= (wanted or 1):
        return
    key = {"train": "training_images", "validation": "validation_images"}[split]
    raise NervelabError(
        f"The source has {count} images for the {split} split where {wanted or 'some'} are asked for: "
        f"lower dataset.{key} in config/data.yaml, or name another source."
    )
