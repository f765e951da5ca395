from collections import Counter

import pytest

from nervelab.data.order import START, Place
from nervelab.data.sources import licences, open_source
from nervelab.errors import NervelabError
from nervelab.study.config import FolderSource, HubSource, PackageSource, TextPackage


def read(source, tmp_path, *, seed=0, start=START):
    dropped = Counter()
    streams = open_source(source, seed=seed, wheels=tmp_path / "wheels", dropped=dropped)
    return [(document.source, document.text) for stream in streams for document in stream.documents(start)], dropped


def test_members_of_wheels_by_suffix(publish, tmp_path):
    first = publish("first", {"first/a.py": "é = 1\n".encode(), "first/b.txt": b"no", "first/bad.py": b"\xff\xfe"})
    second = publish("second", {"second/a.py": b"x = 2\n"})
    packages = [TextPackage(**package.model_dump(), suffix=".py") for package in (first, second)]
    source = PackageSource(kind="packages", packages=packages)
    documents, dropped = read(source, tmp_path)
    assert dict(documents) == {"first-1.0/first/a.py": "é = 1\n", "second-1.0/second/a.py": "x = 2\n"}
    assert dropped == {"not UTF-8": 1}
    assert licences(source) == {"first==1.0": "MIT", "second==1.0": "MIT"}


def test_files_of_a_folder_by_suffix(tmp_path):
    root = tmp_path / "texts"
    (root / "deep").mkdir(parents=True)
    (root / "a.md").write_bytes(b"one\r\n")
    (root / "deep" / "b.md").write_bytes(b"two")
    (root / "c.txt").write_bytes(b"no")
    (root / "bad.md").write_bytes(b"\x80")
    source = FolderSource(kind="folder", path=str(root), suffix=".md", licence="CC0")
    documents, dropped = read(source, tmp_path)
    assert dict(documents) == {"a.md": "one\r\n", "deep/b.md": "two"}
    assert dropped == {"not UTF-8": 1}
    assert licences(source) == {str(root): "CC0"}


def test_order_is_the_seeds(tmp_path):
    root = tmp_path / "texts"
    root.mkdir()
    for number in range(30):
        (root / f"{number}.md").write_text(str(number))
    source = FolderSource(kind="folder", path=str(root), suffix=".md", licence="CC0")
    assert read(source, tmp_path, seed=1) == read(source, tmp_path, seed=1)
    assert read(source, tmp_path, seed=1)[0] != read(source, tmp_path, seed=2)[0]
    assert sorted(read(source, tmp_path, seed=1)[0]) == sorted(read(source, tmp_path, seed=2)[0])


def test_stream_goes_on_from_the_place_after_a_document(tmp_path):
    root = tmp_path / "texts"
    root.mkdir()
    for number in range(10):
        (root / f"{number}.md").write_bytes(b"\xff" if number % 3 == 0 else str(number).encode())
    source = FolderSource(kind="folder", path=str(root), suffix=".md", licence="CC0")
    whole, dropped = read(source, tmp_path)
    assert dropped == {"not UTF-8": 4}
    (stream,) = open_source(source, seed=0, wheels=tmp_path, dropped=Counter())
    places = [document.after for document in stream.documents(START)]
    for number, place in enumerate(places, 1):
        assert read(source, tmp_path, start=place)[0] == whole[number:]
    assert read(source, tmp_path, start=Place(row=10)) == ([], {})


def test_missing_folder_is_named(tmp_path):
    source = FolderSource(kind="folder", path=str(tmp_path / "nowhere"), suffix=".md", licence="CC0")
    with pytest.raises(NervelabError, match=r"nowhere is no folder: mend source\.path"):
        read(source, tmp_path)


def test_published_validation_set_comes_first(tmp_path):
    for name in ("train", "valid"):
        (tmp_path / f"{name}.jsonl").write_text(f'{{"content": "text of {name}"}}\n')
    source = HubSource(
        kind="hub",
        train=str(tmp_path / "train.jsonl"),
        validation=str(tmp_path / "valid.jsonl"),
        column="content",
        licence="various",
    )
    streams = open_source(source, seed=0, wheels=tmp_path, dropped=Counter())
    assert [stream.split for stream in streams] == ["validation", None]
    assert [[document.text for document in stream.documents(START)] for stream in streams] == [
        ["text of valid"],
        ["text of train"],
    ]
    assert licences(source) == {source.train: "various", source.validation: "various"}
    assert licences(source.model_copy(update={"validation": None})) == {source.train: "various"}
