"""Reading data sets through `datasets`: published on the hub, or local copies of the same schema."""

import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from datasets import IterableDataset, IterableDatasetDict, load_dataset
from huggingface_hub import HfApi, constants
from huggingface_hub.errors import HTTPError

from nervelab.data.order import START, Place, shuffled
from nervelab.errors import NervelabError

FILE_FORMATS = {".jsonl": "json", ".parquet": "parquet"}
SECONDS_TO_ANSWER = 10
# What the libraries raise without an answer, and for files that are damaged or cut short (gzip, the last two).
UNREADABLE = (OSError, HTTPError, ValueError, EOFError, zlib.error)
Kind = Literal["dataset", "model"]
KEYS: dict[Kind, str] = {"dataset": "the data set's source", "model": "tokenizer.name"}


@contextmanager
def reaching(kind: Kind, name: str, revision: str | None) -> Iterator[str | None]:
    """Say in one sentence what goes wrong while `name` is read from the hub.

    The hub is asked once before anything is loaded, because the libraries themselves retry for half a minute.

    Yields:
        the commit that the revision is now, or None where the hub may not be asked.

    Raises:
        NervelabError: the hub is out of reach, or has no such repository, or its files cannot be read.
    """
    try:
        if constants.HF_HUB_OFFLINE:
            yield None
        else:
            yield HfApi().repo_info(name, revision=revision, repo_type=kind, timeout=SECONDS_TO_ANSWER).sha
    except UNREADABLE as error:
        raise NervelabError(
            f"The hub's {kind} {name} cannot be read ({first_line(error)}): check {KEYS[kind]} in config/data.yaml, "
            "connect to the network (with HF_HUB_OFFLINE unset), or name a local folder that holds a copy of it."
        ) from error


def commit(kind: Kind, name: str, revision: str | None) -> str | None:
    """The commit that a revision of a repository is now, for all of it to be read at one state.

    A local copy has none (None), and none is known where the hub may not be asked.

    Raises:
        NervelabError: the hub is out of reach, or has no such repository or revision.
    """
    if Path(name).exists():
        return None
    with reaching(kind, _repository(name), revision) as found:
        return found


def texts(
    name: str,
    *,
    split: str,
    column: str,
    revision: str | None = None,
    seed: int,
    start: Place = START,
    dropped: Counter[str],
) -> Iterator[tuple[Place, str]]:
    """The texts in one column of a data set, streamed shard after shard in an order that `seed` determines.

    Within a shard they stay in its order. A buffer that mixes them would make a place in the stream more than two
    numbers, and gain nothing: batches are drawn from all of the text, wherever it stands.

    Args:
        name: a repository of the hub (`owner/name`, or `owner/name:configuration`), or an existing local
            folder, .jsonl or .parquet file.
        split: the split to read; a data set that has one split only is read whatever that is called.
        column: the column that holds the text.
        revision: the commit, tag or branch of the repository; by default its main branch.
        seed: shuffles the shards (the files of the data set).
        start: where to begin; of a shard that was left in its middle, the front is read again and skipped.
        dropped: counts the rows without text under `no text`.

    Yields:
        the place after a text, and the text.

    Raises:
        NervelabError: the data set cannot be reached or read, or has no such split or column.
    """
    with _readable(name, revision):
        whole = _split(name, _load(name, revision), split)
        shards = shuffled(map(str, range(whole.num_shards)), seed)
        for number in range(start.shard, len(shards)):
            behind = start.row if number == start.shard else 0
            shard = whole.shard(num_shards=len(shards), index=int(shards[number])).skip(behind)
            for row_number, row in enumerate(shard, behind + 1):
                text = value(row, column, name=name, key="column")
                if isinstance(text, str):
                    yield Place(number, row_number), text
                else:
                    dropped["no text"] += 1


def rows(name: str, *, split: str, revision: str | None) -> Iterator[dict[str, Any]]:
    """The rows of a split, streamed in the order that they are published in.

    Args:
        name, split, revision: as for `texts`.

    Raises:
        NervelabError: the data set cannot be reached or read, or has no such split.
    """
    with _readable(name, revision):
        yield from _split(name, _load(name, revision), split, or_the_only_one=False)


def value(row: dict[str, Any], column: str, *, name: str, key: str) -> Any:
    """What a row of the data set `name` holds in the column that `source.<key>` names.

    Raises:
        NervelabError: it has no such column.
    """
    if column not in row:
        raise NervelabError(
            f"{name} has no column {column!r} (it has {', '.join(row)}): mend source.{key} in config/data.yaml."
        )
    return row[column]


@contextmanager
def _readable(name: str, revision: str | None) -> Iterator[None]:
    if not Path(name).exists():
        with reaching("dataset", _repository(name), revision):
            yield
        return
    try:
        yield
    except UNREADABLE as error:
        raise NervelabError(
            f"{name} cannot be read as a data set ({first_line(error)}): give a folder of whole .jsonl or .parquet "
            "files, or one such file, in the data set's source in config/data.yaml."
        ) from error


def _load(name: str, revision: str | None) -> IterableDatasetDict:
    path = Path(name)
    if path.is_file():
        if path.suffix not in FILE_FORMATS:
            raise ValueError(f"its suffix is none of {', '.join(FILE_FORMATS)}")
        return load_dataset(FILE_FORMATS[path.suffix], data_files=name, streaming=True)
    repository, _, configuration = (name, "", "") if path.is_dir() else name.partition(":")
    try:
        return load_dataset(repository, configuration or None, revision=revision, streaming=True)
    except RuntimeError as error:  # it has a script, which `datasets` would have to run
        raise NervelabError(
            f"{name} cannot be read as a data set ({first_line(error)}): name a repository or a folder that holds "
            ".jsonl or .parquet files in the data set's source in config/data.yaml."
        ) from error


def _split(name: str, splits: IterableDatasetDict, wanted: str, *, or_the_only_one: bool = True) -> IterableDataset:
    if wanted in splits:
        return splits[wanted]
    if len(splits) == 1 and or_the_only_one:
        return next(iter(splits.values()))
    raise NervelabError(f"{name} has no split {wanted!r} (it has {', '.join(splits)}): name another data set.")


def _repository(name: str) -> str:
    return name.partition(":")[0]


def first_line(error: Exception) -> str:
    """What an exception says, as a part of a sentence."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
