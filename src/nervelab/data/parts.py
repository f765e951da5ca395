"""Finished parts of a corpus that is being built, so that a build that is killed goes on where it was."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from shutil import rmtree
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from nervelab.data.order import START, Place
from nervelab.datafiles import SPLITS
from nervelab.errors import NervelabError, damaged
from nervelab.files import read_mapping, remove_half_written, write_sealed, write_with

SCHEMA = pa.schema([("split", pa.string()), ("text", pa.string()), ("source", pa.string())])
COMPRESSION = "zstd"
PART_BYTES = 16 * 10**6
STATE = "state.json"


class Kept(NamedTuple):
    """A document of the corpus, and its size in bytes of UTF-8."""

    split: str
    text: str
    source: str
    size: int


@dataclass
class Progress:
    """How far the reading of a source is.

    Attributes:
        stream: the number of the stream that is being read.
        place: where in it.
        taken: the bytes of text kept of this stream.
        dropped: the documents left out, by reason.
        documents: the documents kept, by split.
        bytes: and their bytes of text.
        revisions: the commits of the repositories that are read, by the key that pins them; None before any is read.
    """

    stream: int = 0
    place: Place = START
    taken: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    documents: Counter[str] = field(default_factory=Counter)
    bytes: Counter[str] = field(default_factory=Counter)
    revisions: dict[str, str] | None = None

    def keep(self, kept: Kept, after: Place) -> None:
        """Count a document; its stream goes on at `after`."""
        self.place = after
        self.taken += kept.size
        self.documents[kept.split] += 1
        self.bytes[kept.split] += kept.size

    def next_stream(self) -> None:
        """Begin with the following stream."""
        self.stream += 1
        self.place, self.taken = START, 0


class Parts:
    """Collects documents and writes about `PART_BYTES` of text at a time to a file of its own.

    With each file goes, in `state.json`, the progress at that moment: whatever was collected since is read again after
    a kill. So the files are the same however often a build was killed. A file has a row group for each split.
    """

    def __init__(self, folder: Path, corpus_id: str) -> None:
        """Find what an earlier build of the same corpus left in `folder`, and remove anything else.

        Raises:
            NervelabError: the state of that build is damaged.
        """
        self.folder = folder
        self.progress = Progress()
        self._corpus_id = corpus_id
        self._count = 0
        self._waiting: list[Kept] = []
        self._size = 0
        if (folder / STATE).is_file():
            self._restore(read_mapping(folder / STATE, self._remedy))
        if not self._count:
            self.remove()
        remove_half_written(folder)

    @property
    def _remedy(self) -> str:
        return f"delete the folder {self.folder} and run the same command again."

    def _restore(self, state: dict) -> None:
        if state.get("corpus") != self._corpus_id:
            return
        try:
            self.progress = Progress(
                stream=state["stream"],
                place=Place(*state["place"]),
                taken=state["taken"],
                revisions=state["revisions"],
                **{key: Counter(state[key]) for key in ("dropped", "documents", "bytes")},
            )
            self._count = state["parts"]
        except (KeyError, TypeError) as error:
            raise damaged(self.folder / STATE, f"it lacks {error}", self._remedy) from error

    def add(self, kept: Kept) -> None:
        """Collect a document that `progress` counts already."""
        self._waiting.append(kept)
        self._size += kept.size
        if self._size >= PART_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what is collected, and the progress."""
        if self._waiting:
            write_with(self._path(self._count), self._write)
            self._count += 1
            self._waiting, self._size = [], 0
        write_sealed(self.folder / STATE, {"corpus": self._corpus_id, "parts": self._count, **vars(self.progress)})

    def tables(self) -> Iterator[pa.Table]:
        """The row groups of all parts, in order; each holds documents of one split only.

        Raises:
            NervelabError: a part is missing or damaged.
        """
        for number in range(self._count):
            path = self._path(number)
            try:
                with pq.ParquetFile(path) as file:
                    for group in range(file.num_row_groups):
                        yield file.read_row_group(group)
            except (OSError, pa.ArrowException) as error:
                raise NervelabError(f"{path} is missing or damaged: {self._remedy}") from error

    def texts(self) -> Iterator[str]:
        """The texts of all parts."""
        for table in self.tables():
            yield from table["text"].to_pylist()

    def join(self, path: Path) -> None:
        """Write the row groups of all parts, in order, as the one file `path`.

        Raises:
            NervelabError: a part is missing or damaged, or the file cannot be written.
        """
        whole = self.folder / path.name

        def write(partial: Path) -> None:
            with pq.ParquetWriter(partial, SCHEMA, compression=COMPRESSION) as writer:
                for table in self.tables():
                    writer.write_table(table, row_group_size=table.num_rows)

        # In the folder of the parts first, where the next build removes what a kill leaves half-written.
        write_with(whole, write)
        whole.replace(path)

    def remove(self) -> None:
        """Delete the parts and the state."""
        if self.folder.exists():
            rmtree(self.folder)

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:05}.parquet"

    def _write(self, path: Path) -> None:
        with pq.ParquetWriter(path, SCHEMA, compression=COMPRESSION) as writer:
            for split in SPLITS:
                rows = [kept._asdict() for kept in self._waiting if kept.split == split]
                if rows:
                    writer.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), row_group_size=len(rows))
