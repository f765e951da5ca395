"""Building a corpus: a cleaned, bounded sample of documents, split by document."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from nervelab.data.cleaning import Cleaner
from nervelab.data.folders import DOCUMENTS, MANIFEST, SPLITS, write_manifest
from nervelab.data.sources import Document, Stream, licences, open_source
from nervelab.errors import NervelabError
from nervelab.files import write_with

if TYPE_CHECKING:
    from nervelab.study.config import Dataset

BYTES_PER_MEGABYTE = 10**6
ROW_GROUP_BYTES = 16 * 10**6
SCHEMA = pa.schema([("split", pa.string()), ("text", pa.string()), ("source", pa.string())])


class Kept(NamedTuple):
    """A document that stays, its split and its size in bytes of UTF-8."""

    split: str
    document: Document
    size: int


def build_corpus(dataset: Dataset, *, corpus_id: str, folder: Path, wheels: Path) -> None:
    """Write documents.parquet and, last, manifest.json into `folder`.

    Documents are taken in an order that `dataset.seed` determines until `dataset.megabytes` of kept text are
    reached, so memory is bounded whatever the source holds. Equal input gives equal bytes. Every row group of
    the file holds documents of one split only, so a reader of one split skips the others.

    Args:
        dataset: source, cleaning, size and shares.
        corpus_id: the identity that the manifest records.
        folder: where the corpus goes; an older manifest there is removed first.
        wheels: the cache of fetched wheels.

    Raises:
        NervelabError: the source cannot be read, or a split that is needed stays empty.
    """
    (folder / MANIFEST).unlink(missing_ok=True)
    dropped: Counter[str] = Counter()
    documents: Counter[str] = Counter()
    sizes: Counter[str] = Counter()

    def write(path: Path) -> None:
        with pq.ParquetWriter(path, SCHEMA, compression="zstd") as writer:
            groups = _RowGroups(writer)
            for kept in _kept(dataset, wheels=wheels, dropped=dropped):
                documents[kept.split] += 1
                sizes[kept.split] += kept.size
                groups.add(kept)
            groups.flush()
        _refuse_empty_splits(dataset, documents=documents, dropped=dropped)

    write_with(folder / DOCUMENTS, write)
    manifest = {
        "id": corpus_id,
        "dataset": dataset.model_dump(mode="json"),
        "stands_for": dataset.stands_for,
        "licences": licences(dataset.source),
        "documents": {split: documents[split] for split in SPLITS},
        "bytes": {split: sizes[split] for split in SPLITS},
        "dropped": dict(dropped),
    }
    write_manifest(folder, manifest, [DOCUMENTS])


def split_of(text: str, *, seed: int, validation: float, test: float) -> str:
    """The split of a document: a function of its text and the seed alone, whatever else the corpus holds."""
    position = int.from_bytes(blake2b(f"{seed}:{text}".encode(), digest_size=8).digest()) / 2**64
    if position < validation:
        return "validation"
    return "test" if position < validation + test else "train"


def _kept(dataset: Dataset, *, wheels: Path, dropped: Counter[str]) -> Iterator[Kept]:
    cleaner = Cleaner(dataset.cleaning)
    streams = open_source(dataset.source, seed=dataset.seed, wheels=wheels, dropped=dropped)
    # The validation share is cut out of the documents, or is a published validation set's part of the size.
    cut = dataset.validation if len(streams) == 1 else 0.0
    for stream in streams:
        room = _room(dataset, stream, cut=cut)
        for document in stream.documents:
            reason = cleaner.reason_to_drop(document.text)
            if reason is not None:
                dropped[reason] += 1
                continue
            size = len(document.text.encode())
            if size > room:
                break
            room -= size
            split = stream.split or split_of(document.text, seed=dataset.seed, validation=cut, test=dataset.test)
            yield Kept(split=split, document=document, size=size)


def _room(dataset: Dataset, stream: Stream, *, cut: float) -> float:
    """The bytes of text that may be taken from a stream."""
    if dataset.megabytes is None:
        return math.inf
    total = dataset.megabytes * BYTES_PER_MEGABYTE
    held_out = dataset.validation - cut
    return total * held_out if stream.split == "validation" else total * (1 - held_out)


def _refuse_empty_splits(dataset: Dataset, *, documents: Counter[str], dropped: Counter[str]) -> None:
    needed = SPLITS if dataset.test else SPLITS[:2]
    empty = [split for split in needed if not documents[split]]
    if empty:
        reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(dropped.items())) or "none"
        raise NervelabError(
            f"The {empty[0]} split of the data set would be empty ({documents.total()} documents kept; "
            f"dropped: {reasons}): raise dataset.megabytes or mend the shares of the splits in params.yaml, "
            "or name a source with more documents."
        )


class _RowGroups:
    """Collects the documents of each split and writes them as row groups of about `ROW_GROUP_BYTES`."""

    def __init__(self, writer: pq.ParquetWriter) -> None:
        self._writer = writer
        self._waiting: dict[str, list[Kept]] = {split: [] for split in SPLITS}
        self._sizes: Counter[str] = Counter()

    def add(self, kept: Kept) -> None:
        self._waiting[kept.split].append(kept)
        self._sizes[kept.split] += kept.size
        if self._sizes[kept.split] >= ROW_GROUP_BYTES:
            self._write(kept.split)

    def flush(self) -> None:
        for split, waiting in self._waiting.items():
            if waiting:
                self._write(split)

    def _write(self, split: str) -> None:
        rows = [
            {"split": split, "text": document.text, "source": document.source}
            for _, document, _ in self._waiting[split]
        ]
        self._writer.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), row_group_size=len(rows))
        self._waiting[split] = []
        self._sizes[split] = 0
