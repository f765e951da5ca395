"""Where documents come from: one function a kind of source.

A new kind is a record in `nervelab.study.config` and an entry in `SOURCES`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from zipfile import ZipFile

from nervelab.data import hub
from nervelab.data.wheels import fetch
from nervelab.errors import NervelabError

if TYPE_CHECKING:
    from nervelab.study.config import FolderSource, HubSource, PackageSource

    Source = PackageSource | HubSource | FolderSource


@dataclass(frozen=True)
class Document:
    """One text and where it is from."""

    source: str
    text: str


@dataclass(frozen=True)
class Stream:
    """Documents in an order that the seed determines, so that a sample is taken from the front.

    `split` is 'validation' for a published validation set, else None: such documents are still to be split.
    """

    split: Literal["validation"] | None
    documents: Iterator[Document]


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
    return {source.train if source.kind == "hub" else source.path: source.licence}


def _packages(source: PackageSource, seed: int, wheels: Path, dropped: Counter[str]) -> list[Stream]:
    def documents() -> Iterator[Document]:
        with ExitStack() as stack:
            members = {}
            for package in source.packages:
                archive = stack.enter_context(ZipFile(fetch(package, wheels)))
                for name in archive.namelist():
                    if name.endswith(source.suffix):
                        members[f"{package.name}-{package.version}/{name}"] = (archive, name)
            for label in _shuffled(members, seed):
                archive, name = members[label]
                yield from _decoded(label, archive.read(name), dropped)

    return [Stream(split=None, documents=documents())]


def _folder(source: FolderSource, seed: int, _wheels: Path, dropped: Counter[str]) -> list[Stream]:
    root = Path(source.path)
    if not root.is_dir():
        raise NervelabError(f"{root} is no folder: mend source.path in params.yaml.")

    def documents() -> Iterator[Document]:
        files = {path.relative_to(root).as_posix(): path for path in root.rglob(f"*{source.suffix}") if path.is_file()}
        for label in _shuffled(files, seed):
            try:
                content = files[label].read_bytes()
            except OSError as error:
                raise NervelabError(
                    f"{files[label]} cannot be read ({error.strerror}): mend its permissions."
                ) from error
            yield from _decoded(label, content, dropped)

    return [Stream(split=None, documents=documents())]


def _hub(source: HubSource, seed: int, _wheels: Path, dropped: Counter[str]) -> list[Stream]:
    def documents(name: str, split: str, revision: str | None) -> Iterator[Document]:
        for text in hub.texts(name, split=split, column=source.column, revision=revision, seed=seed, dropped=dropped):
            yield Document(source=name, text=text)

    training = Stream(split=None, documents=documents(source.train, "train", source.revision))
    if source.validation is None:
        return [training]
    # Validation first, so that a document that is in both sets is dropped from training.
    return [
        Stream(split="validation", documents=documents(source.validation, "validation", source.validation_revision)),
        training,
    ]


SOURCES: dict[str, Callable[..., list[Stream]]] = {"packages": _packages, "hub": _hub, "folder": _folder}


def _shuffled(labels: Iterable[str], seed: int) -> list[str]:
    return sorted(labels, key=lambda label: (blake2b(f"{seed}:{label}".encode()).digest(), label))


def _decoded(label: str, content: bytes, dropped: Counter[str]) -> Iterator[Document]:
    try:
        yield Document(source=label, text=content.decode())
    except UnicodeDecodeError:
        dropped["not UTF-8"] += 1
