"""The order in which documents are taken, and how far one is in it."""

from collections.abc import Iterable
from hashlib import blake2b
from typing import NamedTuple


class Place(NamedTuple):
    """How much of a stream is behind: whole shards, and rows of the one after them."""

    shard: int = 0
    row: int = 0


START = Place()


def shuffled(labels: Iterable[str], seed: int) -> list[str]:
    """The labels in an order that `seed` alone determines, whatever order they come in."""
    return sorted(labels, key=lambda label: (blake2b(f"{seed}:{label}".encode()).digest(), label))
