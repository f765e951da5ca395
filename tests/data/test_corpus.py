import json

import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nervelab.data import parts
from nervelab.data.corpus import build_corpus, split_of
from nervelab.data.folders import verify
from nervelab.errors import NervelabError
from nervelab.files import sha256
from nervelab.study.config import PackageSource, TextDataset, TextPackage
from tests.data.made_up_texts import make_texts


def build(dataset, folder):
    build_corpus(dataset, corpus_id="abc", folder=folder, wheels=folder.parent / "wheels")
    return pl.read_parquet(folder / "documents.parquet"), json.loads((folder / "manifest.json").read_text())


def test_every_document_is_in_one_split(folder_dataset, tmp_path):
    texts = make_texts(200)
    frame, manifest = build(folder_dataset(texts), tmp_path / "corpus")
    assert frame.columns == ["split", "text", "source"]
    assert sorted(frame["text"]) == sorted(texts)
    counts = dict(frame["split"].value_counts().iter_rows())
    assert counts == manifest["documents"]
    assert 20 <= counts["validation"] <= 60
    assert 5 <= counts["test"] <= 40
    for split, size in manifest["bytes"].items():
        assert size == sum(len(text.encode()) for text in frame.filter(split=split)["text"])


def test_manifest_records_what_was_asked_for(folder_dataset, tmp_path):
    dataset = folder_dataset([*make_texts(200), "", make_texts(1)[0]])
    _, manifest = build(dataset, tmp_path / "corpus")
    assert manifest["id"] == "abc"
    assert manifest["stands_for"] == "CodeParrot"
    assert manifest["licences"] == {dataset.source.path: "MIT"}
    assert TextDataset.model_validate(manifest["dataset"]) == dataset
    assert manifest["dropped"] == {"duplicate": 1, "empty": 1}
    assert manifest["files"] == {"documents.parquet": sha256(tmp_path / "corpus" / "documents.parquet")}
    verify(tmp_path / "corpus")


def test_equal_input_gives_equal_bytes(folder_dataset, tmp_path):
    dataset = folder_dataset(make_texts(100), megabytes=0.06)
    for name in ("one", "two"):
        build(dataset, tmp_path / name)
    for file in ("documents.parquet", "manifest.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_size_is_bounded_and_nearly_used(folder_dataset, tmp_path):
    texts = make_texts(200)
    frame, manifest = build(folder_dataset(texts, megabytes=0.05), tmp_path / "corpus")
    longest = max(len(text.encode()) for text in texts)
    assert 50_000 - longest <= sum(manifest["bytes"].values()) <= 50_000
    assert frame.height < 200


def test_more_megabytes_move_no_document_between_splits(folder_dataset, tmp_path):
    dataset = folder_dataset(make_texts(200), megabytes=0.04)
    small, _ = build(dataset, tmp_path / "small")
    large, _ = build(dataset.model_copy(update={"megabytes": 0.08}), tmp_path / "large")
    split = dict(large.select("text", "split").iter_rows())
    assert all(split[text] == name for text, name in small.select("text", "split").iter_rows())


@given(text=st.text(), seed=st.integers(), validation=st.floats(0, 0.4), test=st.floats(0, 0.4))
def test_larger_share_keeps_what_it_held(text, seed, validation, test):
    """The split depends on text, seed and shares alone, and a validation share that grows loses nothing."""
    split = split_of(text, seed=seed, validation=validation, test=test)
    if split == "validation":
        assert split_of(text, seed=seed, validation=validation + 0.1, test=test) == "validation"
    if validation == 0:
        assert split != "validation"
    if test == 0:
        assert split != "test"


def test_shares_are_met_on_many_documents():
    splits = [split_of(str(n), seed=0, validation=0.2, test=0.1) for n in range(20_000)]
    assert splits.count("validation") / len(splits) == pytest.approx(0.2, abs=0.01)
    assert splits.count("test") / len(splits) == pytest.approx(0.1, abs=0.01)


def test_seed_changes_the_split():
    first, second = ([split_of(str(n), seed=s, validation=0.5, test=0) for n in range(100)] for s in (0, 1))
    assert first != second


def test_row_groups_hold_one_split_each(folder_dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "PART_BYTES", 5_000)
    texts = make_texts(100)
    frame, _ = build(folder_dataset(texts), tmp_path / "corpus")
    assert sorted(frame["text"]) == sorted(texts)
    file = pq.ParquetFile(tmp_path / "corpus" / "documents.parquet")
    groups = [file.read_row_group(n, columns=["split"])["split"].unique() for n in range(file.num_row_groups)]
    assert len(groups) > 5
    assert all(len(splits) == 1 for splits in groups)


def test_empty_validation_split_is_refused(folder_dataset, tmp_path):
    dataset = folder_dataset(["a = 1\n" * 40, "b"], validation=0.0, cleaning="code")
    with pytest.raises(NervelabError, match=r"validation split .* \(1 documents kept; dropped: 1 short\): raise"):
        build(dataset, tmp_path / "corpus")
    assert list((tmp_path / "corpus").iterdir()) == []


def test_failed_rebuild_leaves_no_manifest(folder_dataset, tmp_path):
    dataset = folder_dataset(make_texts(100))
    build(dataset, tmp_path / "corpus")
    with pytest.raises(NervelabError):
        build(dataset.model_copy(update={"validation": 0.0}), tmp_path / "corpus")
    with pytest.raises(NervelabError, match=r"manifest\.json is missing"):
        verify(tmp_path / "corpus")


def test_published_validation_set(folder_dataset, tmp_path):
    """It is the validation split, takes its share of the size, and nothing of it is trained on."""
    training, published = make_texts(100), make_texts(100, seed=1)
    for name, texts in (("train", training + published[:50]), ("valid", published)):
        rows = "".join(json.dumps({"content": text}) + "\n" for text in texts)
        (tmp_path / f"{name}.jsonl").write_text(rows)
    source = {
        "kind": "hub",
        "train": str(tmp_path / "train.jsonl"),
        "validation": str(tmp_path / "valid.jsonl"),
        "column": "content",
        "licence": "various",
    }
    dataset = TextDataset.model_validate({**folder_dataset([]).model_dump(), "source": source})
    frame, manifest = build(dataset, tmp_path / "all")
    assert sorted(frame.filter(split="validation")["text"]) == sorted(published)
    assert sorted(frame.filter(pl.col("split") != "validation")["text"]) == sorted(training)
    assert manifest["dropped"] == {"duplicate": 50}

    _, manifest = build(dataset.model_copy(update={"megabytes": 0.05}), tmp_path / "some")
    assert 9_000 < manifest["bytes"]["validation"] <= 10_000
    assert 39_000 < manifest["bytes"]["train"] + manifest["bytes"]["test"] <= 40_000


def test_corpus_of_wheels(publish, folder_dataset, tmp_path):
    members = {f"tiny/{n}.py": text.encode() for n, text in enumerate(make_texts(60))}
    package = TextPackage(**publish("tiny", members).model_dump(), suffix=".py")
    source = PackageSource(kind="packages", packages=(package,))
    dataset = folder_dataset([]).model_copy(update={"source": source, "cleaning": "code"})
    frame, manifest = build(dataset, tmp_path / "corpus")
    assert frame.height == 60
    assert frame["source"].str.starts_with("tiny-1.0/tiny/").all()
    assert manifest["licences"] == {"tiny==1.0": "MIT"}
