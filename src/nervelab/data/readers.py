"""What a document is inside a pinned wheel: one reader for each form in which packages hold text.

A new form is a name in `nervelab.study.config.TextPackage` and an entry in `READERS`.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from html.parser import HTMLParser
from io import BytesIO, TextIOWrapper
from typing import TYPE_CHECKING, Any
from zipfile import ZipFile

from nervelab.data import archives
from nervelab.errors import NervelabError

if TYPE_CHECKING:
    from nervelab.study.config import TextPackage

Texts = dict[str, Callable[[], str]]
"""By a label that is unique and always the same, what gives the text; it may raise UnicodeDecodeError."""

Parts = Iterator[tuple[str, str]]
"""The documents of one member of a wheel, each under a key that is unique there."""

Split = Callable[[bytes, str | None], Parts]
"""Takes the content of a member (and the field to read) apart; raises ValueError where it is not of the form."""


def read(package: TextPackage, archive: ZipFile) -> Texts:
    """The documents of a wheel, in memory at once except for those that are whole files.

    Args:
        package: which members hold documents, and in what form.
        archive: the open wheel; it stays open until the last text is read.

    Raises:
        NervelabError: no member has the suffix, or one is not of the form that the reader expects.
    """
    members = [name for name in archive.namelist() if name.endswith(package.suffix)]
    if not members:
        raise NervelabError(
            f"{package.name}=={package.version} holds no file that ends in {package.suffix!r}: "
            "mend suffix of this package in config/data.yaml."
        )
    return READERS[package.reader](package, archive, members)


def _files(package: TextPackage, archive: ZipFile, members: list[str]) -> Texts:
    def content(member: str) -> str:
        return archives.member(archive, member).decode()

    return {_label(package, member): partial(content, member) for member in members}


def _parts(split: Split, text_of: Callable[[str], str] = str) -> Callable[[TextPackage, ZipFile, list[str]], Texts]:
    """The reader of members that hold many documents each; `text_of` cleans a document when it is its turn."""

    def reader(package: TextPackage, archive: ZipFile, members: list[str]) -> Texts:
        # Documentation repeats itself, so what is the same is kept under its first label only.
        labels: dict[str, str] = {}
        for member in members:
            try:
                for key, content in split(archives.member(archive, member), package.field):
                    labels.setdefault(content, f"{_label(package, member)}#{key}")
            except (ValueError, TypeError, csv.Error, RecursionError, *archives.DAMAGE) as error:
                raise NervelabError(
                    f"{member} of {package.name}=={package.version} is not what the reader {package.reader} reads "
                    f"({error}): mend reader, suffix or field of this package in config/data.yaml."
                ) from error
        return {label: partial(text_of, content) for content, label in labels.items()}

    return reader


def _label(package: TextPackage, member: str) -> str:
    return f"{package.name}-{package.version}/{member}"


def _csv_rows(content: bytes, field: str | None) -> Parts:
    """A document is a row of a CSV file in a zip file; its key is the file's name and the number of the row."""
    with ZipFile(BytesIO(content)) as archive:
        if sum(each.file_size for each in archive.infolist()) > archives.LARGEST:
            raise ValueError(f"its files have more than {archives.LARGEST} bytes")
        for name in archive.namelist():
            with archive.open(name) as file:
                rows = csv.DictReader(TextIOWrapper(file, "utf-8", newline=""))
                for number, row in enumerate(rows, 1):
                    key = f"{name}/{number}"
                    yield key, _entry(row, field, str, at=key)


def _json_records(content: bytes, field: str | None) -> Parts:
    """A document is a record of a list or mapping; its key is where it stands in it."""
    records = json.loads(content)
    if isinstance(records, list):
        records = {str(number): record for number, record in enumerate(records)}
    if not isinstance(records, dict):
        raise ValueError("neither a list nor a mapping")
    for key, record in records.items():
        yield key, _entry(record, field, str, at=key)


def _documentation(content: bytes, _field: str | None) -> Parts:
    """A document is what one operation, structure or member of a service is documented by.

    Larger pieces would not be running text: a service's descriptions stand side by side in alphabetical order and
    hardly refer to each other.
    """
    service = json.loads(archives.unzipped(content))
    if not isinstance(service, dict) or "shapes" not in service:
        raise ValueError("no description of a service: it has no 'shapes'")
    for path, html in _described(service, ()):
        yield "/".join(path), html


def _described(node: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "documentation" and isinstance(value, str):
                yield path, value
            else:
                yield from _described(value, (*path, key))
    elif isinstance(node, list):
        for number, value in enumerate(node):
            yield from _described(value, (*path, str(number)))


def _conversations(content: bytes, _field: str | None) -> Parts:
    """A document is a conversation, a message a line.

    Who speaks is left out: speakers are known by random ids only, and a turn is often several messages.
    """
    conversations = json.loads(content)
    if not isinstance(conversations, dict):
        raise ValueError("no mapping")
    for key, conversation in conversations.items():
        turns = _entry(conversation, "messages", list, at=key)
        messages = (_entry(message, "text", str, at=key) for turn in turns for message in turn)
        lines = (" ".join(message.split()) for message in messages)
        yield key, "\n".join(filter(None, lines))


def _entry(record: Any, field: str | None, kind: type, *, at: str) -> Any:
    value = record.get(field) if isinstance(record, dict) else None
    if not isinstance(value, kind):
        raise ValueError(f"{at} has no {kind.__name__} under the key {field!r}")
    return value


INLINE = frozenset(("a", "b", "code", "em", "i", "span", "strong", "sub", "sup", "tt", "u"))


class _Text(HTMLParser):
    """Collects what stands between the tags; every tag that is not inline ends the line."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []

    def handle_data(self, data: str) -> None:
        self.pieces.append(re.sub(r"\s", " ", data))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in INLINE:
            self.pieces.append("\n")

    def handle_endtag(self, tag: str) -> None:
        self.handle_starttag(tag, [])


def plain(html: str) -> str:
    """The text of a piece of HTML: a line for each of its blocks, and single spaces."""
    parser = _Text()
    parser.feed(html)
    parser.close()
    lines = (" ".join(line.split()) for line in "".join(parser.pieces).split("\n"))
    return "\n".join(filter(None, lines))


READERS: dict[str, Callable[[TextPackage, ZipFile, list[str]], Texts]] = {
    "files": _files,
    "zipped-csv": _parts(_csv_rows),
    "json-field": _parts(_json_records),
    "botocore-documentation": _parts(_documentation, plain),
    "chitchat": _parts(_conversations),
}
