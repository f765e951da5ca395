"""Serving labelled images from the folder of an image corpus: what the trainer imports."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from nervelab.data import folders
from nervelab.datafiles import DOCUMENTS
from nervelab.errors import NervelabError

KEYS = ("id", "images", "size", "classes", "mean", "std", "unigram_loss")


@dataclass(frozen=True)
class ImageStore:
    """The labelled images of a corpus.

    Attributes:
        unigram_loss: the cross-entropy (nats an image) of the validation labels under the frequencies of the training
            labels: what a model that learned nothing else would reach.
        images: how many images each split has.
        size: the pixels of a side.
        mean, std: of each channel over the training split, of pixels in [0, 1].
    """

    folder: Path
    id: str
    classes: int
    unigram_loss: float
    images: dict[str, int]
    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def open(cls, folder: Path) -> "ImageStore":
        """Read the manifest of a folder (`verify` and `split` read the images).

        Raises:
            NervelabError: the manifest is missing or damaged.
        """
        manifest = folders.read_manifest(folder, keys=KEYS)
        values = {key: manifest[key] for key in KEYS}
        return cls(folder=folder, **values | {key: tuple(manifest[key]) for key in ("mean", "std")})

    def verify(self) -> None:
        """Compare every file with its sha256; raises `NervelabError` naming the one that differs."""
        folders.verify(self.folder)

    def split(self, name: str) -> tuple[torch.Tensor, torch.Tensor]:
        """The images of a split, read one row group at a time: beside them, memory holds no more than that.

        Returns:
            images_NCHW (uint8) and labels_N (int64), in the order of the corpus.

        Raises:
            NervelabError: the file is missing or damaged.
        """
        count, shape = self.images[name], (3, self.size, self.size)
        images_Nx, labels_N = np.empty((count, np.prod(shape)), np.uint8), np.empty(count, np.int64)
        path = self.folder / DOCUMENTS
        start = 0
        try:
            with pq.ParquetFile(path) as file:
                for number in range(file.num_row_groups):
                    if file.read_row_group(number, columns=["split"])["split"][0].as_py() != name:
                        continue
                    group = file.read_row_group(number, columns=["label", "image"])
                    stop = start + group.num_rows
                    labels_N[start:stop] = group["label"].to_numpy()
                    pixels = b"".join(group["image"].to_pylist())
                    images_Nx[start:stop] = np.frombuffer(pixels, np.uint8).reshape(group.num_rows, -1)
                    start = stop
            if start != count:
                raise ValueError(f"{start} images instead of {count}")
        except (OSError, ValueError, KeyError, pa.ArrowException) as error:
            raise NervelabError(
                f"{path} is missing or damaged (its {name} split cannot be read): {folders.remedy(self.folder)}"
            ) from error
        return torch.from_numpy(images_Nx).unflatten(1, shape), torch.from_numpy(labels_N)
