"""Building a corpus: a cleaned, bounded sample of documents, split by document."""

from __future__ import annotations

import math
from collections import Counter
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

from nervelab.data.cleaning import Cleaner
from nervelab.data.folders import write_manifest
from nervelab.data.parts import Kept, Parts
from nervelab.data.sources import Stream, licences, open_source, revisions
from nervelab.datafiles import DOCUMENTS, MANIFEST, SPLITS
from nervelab.errors import NervelabError

if TYPE_CHECKING:
    from nervelab.study.config import TextDataset

BYTES_PER_MEGABYTE = 10**6
PARTIAL = ".partial"


def build_corpus(dataset: TextDataset, *, corpus_id: str, folder: Path, wheels: Path) -> None:
    """Write documents.parquet and, last, manifest.json into `folder`.

    Documents are taken in an order that `dataset.seed` determines until `dataset.megabytes` of kept text are
    reached, so memory is bounded whatever the source holds. Equal input gives equal bytes. Every row group of
    the file holds documents of one split only, so a reader of one split skips the others.

    Until it is whole, the corpus lies in parts below `folder`, twice its size at the end. A build that was stopped
    goes on after its last part, and its result is the same to the byte. Repositories of the hub are read at the commits
    that they were at when the build began; the manifest has them as `revisions`.

    Args:
        dataset: source, cleaning, size and shares.
        corpus_id: the identity that the manifest records.
        folder: where the corpus goes; an older manifest there is removed first.
        wheels: the cache of fetched wheels.

    Raises:
        NervelabError: the source cannot be read, or a split that is needed stays empty.
    """
    (folder / MANIFEST).unlink(missing_ok=True)
    parts = Parts(folder / PARTIAL, corpus_id)
    _collect(dataset, parts, wheels=wheels)
    progress = parts.progress
    try:
        _refuse_empty_splits(dataset, documents=progress.documents, dropped=progress.dropped)
    except NervelabError:
        parts.remove()
        raise

    parts.join(folder / DOCUMENTS)
    manifest = {
        "id": corpus_id,
        "dataset": dataset.model_dump(mode="json"),
        "stands_for": dataset.stands_for,
        "licences": licences(dataset.source),
        "revisions": progress.revisions,
        "documents": {split: progress.documents[split] for split in SPLITS},
        "bytes": {split: progress.bytes[split] for split in SPLITS},
        "dropped": dict(progress.dropped),
    }
    write_manifest(folder, manifest, [DOCUMENTS])
    parts.remove()


def split_of(text: str, *, seed: int, validation: float, test: float) -> str:
    """The split of a document: a function of its text and the seed alone, whatever else the corpus holds."""
    position = int.from_bytes(blake2b(f"{seed}:{text}".encode(), digest_size=8).digest()) / 2**64
    if position < validation:
        return "validation"
    return "test" if position < validation + test else "train"


def _collect(dataset: TextDataset, parts: Parts, *, wheels: Path) -> None:
    """Read the source from where `parts` stop, to the end of what is wanted."""
    progress = parts.progress
    cleaner = Cleaner(dataset.cleaning)
    for text in parts.texts():
        cleaner.remember(text)
    if progress.revisions is None:
        progress.revisions = revisions(dataset.source)
    source = dataset.source.model_copy(update=progress.revisions)
    streams = open_source(source, seed=dataset.seed, wheels=wheels, dropped=progress.dropped)
    # The validation share is cut out of the documents, or is a published validation set's part of the size.
    cut = dataset.validation if len(streams) == 1 else 0.0
    for stream in streams[progress.stream :]:
        room = _room(dataset, stream, cut=cut)
        for document in stream.documents(progress.place):
            reason = cleaner.reason_to_drop(document.text)
            if reason is not None:
                progress.dropped[reason] += 1
                continue
            size = len(document.text.encode())
            if progress.taken + size > room:
                break
            cleaner.remember(document.text)
            split = stream.split or split_of(document.text, seed=dataset.seed, validation=cut, test=dataset.test)
            kept = Kept(split=split, text=document.text, source=document.source, size=size)
            progress.keep(kept, document.after)
            parts.add(kept)
        progress.next_stream()
    parts.flush()


def _room(dataset: TextDataset, stream: Stream, *, cut: float) -> float:
    """The bytes of text that may be taken from a stream."""
    if dataset.megabytes is None:
        return math.inf
    total = dataset.megabytes * BYTES_PER_MEGABYTE
    held_out = dataset.validation - cut
    return total * held_out if stream.split == "validation" else total * (1 - held_out)


def _refuse_empty_splits(dataset: TextDataset, *, documents: Counter[str], dropped: Counter[str]) -> None:
    needed = SPLITS if dataset.test else SPLITS[:2]
    empty = [split for split in needed if not documents[split]]
    if empty:
        reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(dropped.items())) or "none"
        raise NervelabError(
            f"The {empty[0]} split of the data set would be empty ({documents.total()} documents kept; "
            f"dropped: {reasons}): raise dataset.megabytes or mend the shares of the splits in config/data.yaml, "
            "or name a source with more documents."
        )
