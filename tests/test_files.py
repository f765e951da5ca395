"""Files are whole or not there, and what the machine refuses is one sentence with its remedy."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from nervelab.errors import NervelabError
from nervelab.files import read_json, read_mapping, sealed, sha256, write_sealed, write_text


def test_a_seal_sees_each_changed_digit(tmp_path: Path):
    path = tmp_path / "a.json"
    write_sealed(path, {"loss": 3.25, "of": {1: "one", 10: "ten", 2: "two"}})
    assert read_mapping(path, "mend it.") == {"loss": 3.25, "of": {"1": "one", "10": "ten", "2": "two"}}
    path.write_text(path.read_text().replace("3.25", "3.15"))
    with pytest.raises(NervelabError, match=r"a\.json is damaged \(its content is not what was written\): mend it\.$"):
        read_mapping(path, "mend it.")


def test_what_was_never_sealed_passes(tmp_path: Path):
    (tmp_path / "a.json").write_text('{"loss": 3.25}')
    assert read_mapping(tmp_path / "a.json", "mend it.") == {"loss": 3.25}


def test_a_seal_is_of_the_rest(tmp_path: Path):
    assert sealed(sealed({"a": 1})) == sealed({"a": 1})


@pytest.mark.parametrize(
    ("content", "how"),
    [
        (b"[1]", "no mapping"),
        (b"{", "not JSON"),
        (b"\xff\xfe", "not UTF-8"),
        (b"[" * 200_000, "not JSON"),
        (b'{"b": 1}', "it lacks the entry a"),
        (b'{"a": NaN, "seal": "x"}', "its content is not what was written"),
    ],
    ids=["a list", "cut short", "other bytes", "brackets without end", "another mapping", "NaN"],
)
def test_what_is_no_mapping_is_said(tmp_path: Path, content: bytes, how: str):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(NervelabError) as caught:
        read_mapping(tmp_path / "a.json", "mend it.", ["a"])
    assert str(caught.value) == f"{tmp_path / 'a.json'} is damaged ({how}): mend it."


def test_a_folder_in_the_place_of_a_file_is_said(tmp_path: Path):
    (tmp_path / "a.json").mkdir()
    with pytest.raises(NervelabError, match=r"a\.json cannot be read \(Is a directory\)"):
        read_json(tmp_path / "a.json", "delete it.")
    with pytest.raises(NervelabError, match=r"a\.json could not be read \(Is a directory\): move away the folder"):
        sha256(tmp_path / "a.json")
    with pytest.raises(NervelabError, match=r"a\.json could not be written \(Is a directory\): move away the folder"):
        write_text(tmp_path / "a.json", "x")
    assert list(tmp_path.iterdir()) == [tmp_path / "a.json"]


def test_a_file_in_the_place_of_a_folder_is_said(tmp_path: Path):
    (tmp_path / "a").write_text("x")
    with pytest.raises(NervelabError, match=r"a/b could not be written \((Not a directory|File exists)\): move away"):
        write_text(tmp_path / "a" / "b", "x")
    assert (tmp_path / "a").read_text() == "x"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT, errno.EFBIG, errno.EIO])
def test_what_was_there_stays_when_a_disk_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int):
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"old": 1}))

    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(NervelabError) as caught:
        write_text(path, "new")
    assert str(caught.value).startswith(f"{path} could not be written ({os.strerror(number)}): ")
    assert str(caught.value).endswith(", then run the same command again.")
    assert json.loads(path.read_text()) == {"old": 1}
    assert list(tmp_path.iterdir()) == [path]
