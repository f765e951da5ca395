"""Where documents come from: one function a kind of source.

A new kind is a record in `nervelab.study.config` and an entry in `SOURCES`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from nervelab.data import archives, hub, readers
from nervelab.data.order import Place, shuffled
from nervelab.data.wheels import fetch
from nervelab.errors import NervelabError

if TYPE_CHECKING:
    from nervelab.study.config import FolderSource, HubSource, PackageSource

    Source = PackageSource | HubSource | FolderSource


@dataclass(frozen=True)
class Document:
    """One text, where it is from, and the place where its stream goes on after it."""

    source: str
    text: str
    after: Place


@dataclass(frozen=True)
class Stream:
    """Documents in an order that the seed determines, so that a sample is taken from the front.

    `split` is 'validation' for a published validation set, else None: such documents are still to be split.
    `documents` gives those from a place on: `START`, or where another reading stopped.
    """

    split: Literal["validation"] | None
    documents: Callable[[Place], Iterator[Document]]


def open_source(source: Source, *, seed: int, wheels: Path, dropped: Counter[str]) -> list[Stream]:
    """The streams of documents of a source, to be read in this order.

    Args:
        source: the record of the source.
        seed: determines the order of the documents.
        wheels: the cache of fetched wheels.
        dropped: counts what has to be skipped on the way, by reason.

    Raises:
        NervelabError: the source cannot be fetched or read (some of it while the documents are read).
    """
    return SOURCES[source.kind](source, seed, wheels, dropped)


def licences(source: Source) -> dict[str, str]:
    """The licence of each part of a source."""
    if source.kind == "packages":
        return {f"{package.name}=={package.version}": package.licence for package in source.packages}
    names = (source.train, source.validation) if source.kind == "hub" else (source.path,)
    return {name: source.licence for name in names if name is not None}


def revisions(source: Source) -> dict[str, str]:
    """The commits that the repositories of a source are at now, by the keys of its record that pin them.

    Raises:
        NervelabError: a repository cannot be reached.
    """
    if source.kind != "hub":
        return {}
    names = {"revision": source.train, "validation_revision": source.validation}
    found = {key: hub.commit("dataset", name, getattr(source, key)) for key, name in names.items() if name}
    return {key: commit for key, commit in found.items() if commit}


def _packages(source: PackageSource, seed: int, wheels: Path, dropped: Counter[str]) -> list[Stream]:
    def documents(start: Place) -> Iterator[Document]:
        with ExitStack() as stack:
            texts: readers.Texts = {}
            for package in source.packages:
                texts |= readers.read(package, stack.enter_context(archives.opened(fetch(package, wheels))))
            yield from _ordered(texts, seed=seed, start=start, dropped=dropped)

    return [Stream(split=None, documents=documents)]


def _folder(source: FolderSource, seed: int, _wheels: Path, dropped: Counter[str]) -> list[Stream]:
    root = Path(source.path)
    if not root.is_dir():
        raise NervelabError(f"{root} is no folder: mend source.path in config/data.yaml.")

    def content(path: Path) -> str:
        try:
            return path.read_bytes().decode()
        except OSError as error:
            raise NervelabError(f"{path} cannot be read ({error.strerror}): mend its permissions.") from error

    def documents(start: Place) -> Iterator[Document]:
        files = [path for path in root.rglob(f"*{source.suffix}") if path.is_file()]
        texts = {path.relative_to(root).as_posix(): partial(content, path) for path in files}
        yield from _ordered(texts, seed=seed, start=start, dropped=dropped)

    return [Stream(split=None, documents=documents)]


def _hub(source: HubSource, seed: int, _wheels: Path, dropped: Counter[str]) -> list[Stream]:
    def documents(name: str, split: str, revision: str | None, start: Place) -> Iterator[Document]:
        for after, text in hub.texts(
            name, split=split, column=source.column, revision=revision, seed=seed, start=start, dropped=dropped
        ):
            yield Document(source=name, text=text, after=after)

    training = Stream(split=None, documents=partial(documents, source.train, "train", source.revision))
    if source.validation is None:
        return [training]
    published = partial(documents, source.validation, "validation", source.validation_revision)
    # Validation first, so that a document that is in both sets is dropped from training.
    return [Stream(split="validation", documents=published), training]


SOURCES: dict[str, Callable[..., list[Stream]]] = {"packages": _packages, "hub": _hub, "folder": _folder}


def _ordered(texts: readers.Texts, *, seed: int, start: Place, dropped: Counter[str]) -> Iterator[Document]:
    for number, label in enumerate(shuffled(texts, seed)[start.row :], start.row + 1):
        try:
            text = texts[label]()
        except UnicodeDecodeError:
            dropped["not UTF-8"] += 1
            continue
        yield Document(source=label, text=text, after=Place(row=number))
