"""Reading the digits of MNIST from the gzipped pickle that they are handed on in, without running anything in it."""

import io
import pickle
from typing import Any

import numpy as np

from nervelab.data.archives import unzipped
from nervelab.datafiles import SPLITS
from nervelab.errors import NervelabError

SIDE = 28
# Its pixels are 0 to 255, divided by 256.
LEVELS = 256


def _empty(*_: Any) -> np.ndarray:
    """An array that is still to be filled, without a byte of its own, whatever the pickle wants: it has the bytes."""
    return np.empty(0, np.int8)


# All that an array needs; numpy 2 moved the first one. The class itself is only handed to it, never called.
ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"): _empty,
    ("numpy._core.multiarray", "_reconstruct"): _empty,
    ("numpy", "ndarray"): "ndarray",
    ("numpy", "dtype"): np.dtype,
}


def read_digits(content: bytes, name: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The images [N, 28, 28] and labels [N] of each split, as uint8 and int64.

    Args:
        content: a gzipped pickle of three pairs (training, validation, test), each of pixels [N, 784], multiples of
            1/256 from 0 to 255/256, and labels.
        name: what a message calls it.

    Raises:
        NervelabError: it is damaged, or holds anything but arrays of numbers.
    """
    try:
        splits = _Unpickler(io.BytesIO(unzipped(content)), encoding="latin1").load()
        pairs = [(_images(images), _labels(labels, len(images))) for images, labels in splits]
        return dict(zip(SPLITS, pairs, strict=True))
    except Exception as error:  # a damaged pickle can end in any
        reason = " ".join(str(error).split()) or type(error).__name__
        raise NervelabError(
            f"{name} cannot be read as the digits of MNIST ({reason}): "
            "mend source.package and source.member in config/data.yaml."
        ) from error


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is no part of an array")
        return ALLOWED[module, name]


def _images(pixels: Any) -> np.ndarray:
    images = _numbers(pixels, "f") * LEVELS
    if not ((images >= 0) & (images < LEVELS) & (images == np.rint(images))).all():
        raise ValueError("its pixels are not the 256ths from 0 to 255/256")
    return images.astype(np.uint8).reshape(-1, SIDE, SIDE)


def _labels(labels: Any, count: int) -> np.ndarray:
    if _numbers(labels, "iu").shape != (count,):
        raise ValueError("its images and labels differ in number")
    return labels.astype(np.int64)


def _numbers(array: Any, kinds: str) -> np.ndarray:
    if not isinstance(array, np.ndarray) or array.dtype.kind not in kinds:
        raise TypeError("it holds something other than arrays of numbers")
    return array
