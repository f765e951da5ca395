import gzip
import json
import os
import subprocess
import sys
import time
from collections import Counter

import polars as pl
import pytest
from huggingface_hub import HfApi, constants
from huggingface_hub.errors import HTTPError

from nervelab.data import hub
from nervelab.data.order import START, Place
from nervelab.errors import NervelabError

# CodeParrot's columns.
ROWS = [
    {
        "repo_name": f"r/{n}",
        "path": "a.py",
        "copies": "1",
        "size": "9",
        "content": f"x = {n}\n",
        "license": "mit",
    }
    for n in range(20)
]
CONTENTS = {row["content"] for row in ROWS}


def write_jsonl(path, rows=ROWS):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def write_parquet(path):
    pl.DataFrame(ROWS).write_parquet(path)
    return path


def read(name, *, split="train", column="content", seed=0, start=START, dropped=None):
    dropped = Counter() if dropped is None else dropped
    return list(hub.texts(str(name), split=split, column=column, seed=seed, start=start, dropped=dropped))


def texts(name, **options):
    return [text for _, text in read(name, **options)]


@pytest.mark.parametrize("whole_folder", [True, False])
@pytest.mark.parametrize(("write", "suffix"), [(write_jsonl, "jsonl"), (write_parquet, "parquet")])
def test_local_copies(tmp_path, write, suffix, whole_folder):
    path = write(tmp_path / f"train.{suffix}")
    found = texts(tmp_path if whole_folder else path)
    assert len(found) == len(ROWS)
    assert set(found) == CONTENTS
    assert found == texts(tmp_path if whole_folder else path)


def test_splits_of_one_folder(tmp_path):
    write_jsonl(tmp_path / "train.jsonl", ROWS[:15])
    write_jsonl(tmp_path / "validation.jsonl", ROWS[15:])
    assert len(texts(tmp_path, split="train")) == 15
    assert len(texts(tmp_path, split="validation")) == 5
    (tmp_path / "validation.jsonl").rename(tmp_path / "test.jsonl")
    with pytest.raises(NervelabError, match=r"has no split 'validation' \(it has train, test\)"):
        texts(tmp_path, split="validation")


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_shards_in_the_seeds_order_from_any_place(tmp_path, suffix):
    for shard in range(5):
        rows = [{"content": f"{shard}:{n}" if n % 3 else None} for n in range(shard, shard + 7)]
        path = tmp_path / f"train-{shard}.{suffix}"
        write_jsonl(path, rows) if suffix == "jsonl" else pl.DataFrame(rows).write_parquet(path)
    whole = read(tmp_path, seed=1)
    shards = [int(text.partition(":")[0]) for _, text in whole]
    assert sorted(set(shards)) == [0, 1, 2, 3, 4]
    assert shards == [shard for shard in dict.fromkeys(shards) for _ in range(shards.count(shard))]
    assert list(dict.fromkeys(shards)) != list(dict.fromkeys(int(text[0]) for text in texts(tmp_path, seed=2)))
    for number, (place, _) in enumerate(whole, 1):
        assert read(tmp_path, seed=1, start=place) == whole[number:]
    assert read(tmp_path, seed=1, start=Place(5)) == []


def test_rows_without_text_are_counted(tmp_path):
    dropped = Counter()
    path = write_jsonl(tmp_path / "a.jsonl", [{"content": "a"}, {"content": None}])
    assert texts(path, dropped=dropped) == ["a"]
    assert dropped == {"no text": 1}


def test_missing_column_is_named(tmp_path):
    with pytest.raises(NervelabError, match=r"no column 'text' \(it has repo_name, .*\): mend source\.column"):
        texts(write_jsonl(tmp_path / "a.jsonl"), column="text")


@pytest.mark.parametrize(
    ("file", "content"),
    [("a.jsonl", b"{not json"), ("a.parquet", b"no"), ("a.doc", b"x")],
    ids=["jsonl", "parquet", "another kind"],
)
def test_unreadable_file_is_named(tmp_path, file, content):
    (tmp_path / file).write_bytes(content)
    with pytest.raises(NervelabError, match=rf"{file} cannot be read as a data set") as caught:
        texts(tmp_path / file)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("damage", [lambda content: content[:-20], lambda content: content[:20] + b"\xff" * 50])
def test_damaged_compressed_shard_is_one_sentence(tmp_path, damage):
    lines = "".join(json.dumps({"content": str(number)}) + "\n" for number in range(5000))
    (tmp_path / "train.json.gz").write_bytes(damage(gzip.compress(lines.encode())))
    with pytest.raises(NervelabError, match=r"cannot be read as a data set \(.+\): .* the data set's source") as caught:
        texts(tmp_path)
    assert str(caught.value).startswith(str(tmp_path))
    assert "\n" not in str(caught.value)


def test_data_set_with_a_script_is_one_sentence(tmp_path):
    folder = tmp_path / "scripted"
    folder.mkdir()
    (folder / "scripted.py").write_text("")
    with pytest.raises(NervelabError, match=r"scripted cannot be read .* scripts .*: name .* in the data set's source"):
        texts(folder)


def test_folder_without_data_is_named(tmp_path):
    with pytest.raises(NervelabError, match="cannot be read as a data set"):
        texts(tmp_path)


def test_offline_the_hub_fails_at_once():
    """In a process of its own, because the libraries read HF_HUB_OFFLINE when they are imported."""
    name = "huggingface-course/codeparrot-ds-train"
    script = (
        "import sys; from collections import Counter; from nervelab.data import hub; "
        "from nervelab.errors import NervelabError\n"
        f"try: next(hub.texts({name!r}, split='train', column='content', seed=0, dropped=Counter()))\n"
        "except NervelabError as error: sys.stdout.write(str(error))"
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    outcome = subprocess.run(
        [sys.executable, "-c", script],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert outcome.stdout.startswith(f"The hub's dataset {name} cannot be read")
    assert "HF_HUB_OFFLINE" in outcome.stdout
    assert "\n" not in outcome.stdout
    assert outcome.stderr == ""


def test_without_network_nothing_is_retried(monkeypatch):
    asked = []

    def unreachable(_self, name, **_options):
        asked.append(name)
        raise HTTPError("[Errno -2] Name or service not known")

    monkeypatch.setattr(HfApi, "repo_info", unreachable)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    start = time.monotonic()
    with pytest.raises(NervelabError, match=r"^The hub's dataset owner/name cannot be read \(\[Errno -2\]"):
        texts("owner/name:configuration")
    assert asked == ["owner/name"]
    assert time.monotonic() - start < 5
