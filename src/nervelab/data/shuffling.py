"""Orders that are drawn at random and are the same everywhere."""

import numpy as np


def shuffled(count: int, *, seed: int, part: int = 0) -> np.ndarray:
    """The numbers from 0 to `count` - 1 (int64) in an order that `seed` and `part`, of 64 bits each, determine."""
    key = np.array([seed % 2**64, part], np.uint64)
    # Raw bits, because numpy promises their stability across versions, but not that of its permutations.
    return np.argsort(np.random.Philox(key=key).random_raw(count), kind="stable")
