import json
import math
import os
import subprocess
import sys
from collections import Counter

import numpy as np
import polars as pl
import pytest
from huggingface_hub import HfApi, constants
from tokenizers import Tokenizer, models, pre_tokenizers

from nervelab.data.corpus import build_corpus, split_of
from nervelab.data.folders import verify
from nervelab.data.tokens import END_OF_TEXT, build_tokens
from nervelab.data.unigram import unigram_loss
from nervelab.datafiles import SPLITS
from nervelab.errors import NervelabError
from nervelab.study.config import HubTokenizer, TrainedTokenizer
from tests.data.made_up_texts import make_texts

BPE = TrainedTokenizer(kind="byte-level-bpe", vocabulary=300)


def build(corpus, folder, tokenizer=BPE):
    build_tokens(tokenizer, tokens_id="def", corpus=corpus, folder=folder, wheels=folder.parent / "wheels")
    manifest = json.loads((folder / "manifest.json").read_text())
    ids = {split: np.fromfile(folder / f"{split}.bin", manifest["dtype"]) for split in SPLITS}
    return manifest, ids, Tokenizer.from_file(str(folder / "tokenizer.json"))


def texts_of(corpus, split):
    return pl.read_parquet(corpus / "documents.parquet").filter(split=split)["text"].to_list()


def published(folder, *, size, end=END_OF_TEXT, **limits):
    """A published word-level tokenizer with `size` tokens."""
    vocabulary = {f"word{n}": n for n in range(size - 2)} | {"[UNK]": size - 2, end: size - 1}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    if limits:
        tokenizer.enable_truncation(**limits)
        tokenizer.enable_padding(length=512)
    folder.mkdir()
    tokenizer.save(str(folder / "tokenizer.json"))
    return HubTokenizer(kind="hub", licence="CC0", name=str(folder), vocabulary=size)


@pytest.fixture(scope="module")
def tokenize_again():
    """Builds tokens in a process of its own and under another degree of parallelism."""

    def run(corpus, folder, parallelism):
        script = (
            "import sys; from pathlib import Path; from nervelab.data.tokens import build_tokens; "
            "from nervelab.study.config import TrainedTokenizer\n"
            "build_tokens(TrainedTokenizer(kind='byte-level-bpe', vocabulary=300), tokens_id='def', "
            "corpus=Path(sys.argv[1]), folder=Path(sys.argv[2]), wheels=Path(sys.argv[2]))"
        )
        environment = {**os.environ, **parallelism, "PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, "-c", script, str(corpus), str(folder)]
        subprocess.run(command, env=environment, check=True, timeout=60)

    return run


def test_decoding_gives_the_text_back(corpus, tmp_path):
    manifest, ids, tokenizer = build(corpus, tmp_path / "tokens")
    end = tokenizer.token_to_id(END_OF_TEXT)
    for split in SPLITS:
        assert len(ids[split]) == manifest["tokens"][split]
        ends = np.flatnonzero(ids[split] == end)
        pieces = np.split(ids[split], ends + 1)
        assert len(pieces.pop()) == 0
        assert [tokenizer.decode(piece[:-1].tolist()) for piece in pieces] == texts_of(corpus, split)


def test_manifest(corpus, tmp_path):
    manifest, ids, tokenizer = build(corpus, tmp_path / "tokens")
    total = sum(len(text.encode()) for split in SPLITS for text in texts_of(corpus, split))
    assert manifest["bytes_per_token"] == total / sum(map(len, ids.values()))
    assert (manifest["id"], manifest["corpus"], manifest["dtype"]) == ("def", "abc", "uint16")
    assert manifest["vocabulary"] == tokenizer.get_vocab_size() == 300
    assert TrainedTokenizer.model_validate(manifest["tokenizer"]) == BPE
    assert manifest["end_token"] == tokenizer.token_to_id(END_OF_TEXT)
    assert manifest["stands_for"] == "CodeParrot"
    assert set(manifest["licences"].values()) == {"MIT"}
    assert set(manifest["files"]) == {"train.bin", "validation.bin", "test.bin", "tokenizer.json"}
    verify(tmp_path / "tokens")


def test_unigram_loss_token_by_token(corpus, tmp_path):
    """One token at a time in float64, instead of by counts."""
    manifest, ids, _ = build(corpus, tmp_path / "tokens")
    counts = Counter(ids["train"].tolist())
    denominator = len(ids["train"]) + 300
    losses = [-math.log((counts[token] + 1) / denominator) for token in ids["validation"].tolist()]
    assert manifest["unigram_loss"] == pytest.approx(np.mean(np.array(losses, np.float64)), rel=1e-12)


def test_unigram_loss_of_uniform_tokens():
    assert unigram_loss(np.full(8, 10), np.array([3, 0, 0, 1, 0, 0, 0, 0])) == pytest.approx(math.log(8), rel=1e-14)


def test_tokenizer_sees_the_training_split_only(tmp_path, folder_dataset):
    """A word that fills the held-out documents gets no merge, though it would if it were seen."""
    dataset = folder_dataset([])
    texts = make_texts(100)
    shares = {"seed": dataset.seed, "validation": dataset.validation, "test": dataset.test}
    marked = [text + " zqzqzqzq" * 50 for text in texts]
    texts = [mark if split_of(mark, **shares) != "train" else plain for plain, mark in zip(texts, marked, strict=True)]
    root = tmp_path / "texts"
    for number, text in enumerate(texts):
        (root / f"{number}.py").write_bytes(text.encode())
    build_corpus(dataset, corpus_id="abc", folder=tmp_path / "corpus", wheels=tmp_path)
    frame = pl.read_parquet(tmp_path / "corpus" / "documents.parquet")
    assert frame.filter(pl.col("text").str.contains("zqzq"))["split"].unique().sort().to_list() == [
        "test",
        "validation",
    ]
    _, _, tokenizer = build(tmp_path / "corpus", tmp_path / "tokens")
    assert not [token for token in tokenizer.get_vocab() if "zq" in token]


def test_parallelism_and_process_change_no_byte(corpus, tmp_path, tokenize_again):
    tokenize_again(corpus, tmp_path / "one", {"TOKENIZERS_PARALLELISM": "false"})
    tokenize_again(corpus, tmp_path / "two", {"TOKENIZERS_PARALLELISM": "true", "RAYON_NUM_THREADS": "3"})
    for file in ("train.bin", "validation.bin", "test.bin", "tokenizer.json", "manifest.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_special_token_in_a_document_is_text(tmp_path, folder_dataset):
    texts = [f"{text} {END_OF_TEXT} more" for text in make_texts(60)]
    build_corpus(folder_dataset(texts), corpus_id="abc", folder=tmp_path / "corpus", wheels=tmp_path)
    manifest, ids, tokenizer = build(tmp_path / "corpus", tmp_path / "tokens")
    end = tokenizer.token_to_id(END_OF_TEXT)
    documents = json.loads((tmp_path / "corpus" / "manifest.json").read_text())["documents"]
    assert {split: int((ids[split] == end).sum()) for split in SPLITS} == documents
    assert manifest["vocabulary"] == 300


LETTERS = "▁abcdefghijklmnopqrstuvwxyz</>"
SPECIAL = ("<pad>", "</s>", "<unk>")


def unigram():
    """As T5's: its special tokens are pieces of the model, with the best of all scores."""
    pieces = [(token, 0.0) for token in SPECIAL] + [(letter, -4.0) for letter in LETTERS] + [("ing", -3.0)]
    return Tokenizer(models.Unigram(pieces, unk_id=2))


def merging():
    """A BPE that merges its way to its end token, as made of a list of pieces."""
    pieces = [*SPECIAL, *LETTERS, "</", "s>"]
    merges = [("<", "/"), ("s", ">"), ("</", "s>")]
    return Tokenizer(models.BPE({piece: n for n, piece in enumerate(pieces)}, merges, unk_token="<unk>"))


def whole_words():
    return Tokenizer(models.WordLevel({word: n for n, word in enumerate([*SPECIAL, "▁a"])}, unk_token="<unk>"))


@pytest.mark.parametrize("special", [True, False])
@pytest.mark.parametrize("make", [unigram, merging, whole_words])
def test_the_end_token_of_any_model_in_a_document_is_text(tmp_path, folder_dataset, make, special):
    tokenizer = make()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme="first")]
    )
    tokenizer.add_special_tokens(["<pad>", "<unk>"])
    (tokenizer.add_special_tokens if special else tokenizer.add_tokens)(["</s>"])
    tokenizer.add_tokens(["<run>"])  # after the vocabulary, and to be found
    size = tokenizer.get_vocab_size()
    plain = [f"testing {chr(97 + n % 26)} <run>{chr(97 + n // 26)} end" for n in range(60)]
    spelt = [f"{text}</s>more </s> </s>" for text in plain]
    (tmp_path / "published").mkdir()
    tokenizer.save(str(tmp_path / "published" / "tokenizer.json"))
    wanted = HubTokenizer(kind="hub", licence="CC0", name=str(tmp_path / "published"), vocabulary=size)
    build_corpus(folder_dataset(plain + spelt), corpus_id="abc", folder=tmp_path / "corpus", wheels=tmp_path)
    _, ids, saved = build(tmp_path / "corpus", tmp_path / "tokens", wanted)
    assert saved.to_str() == tokenizer.to_str()
    for split in SPLITS:
        *documents, rest = np.split(ids[split], np.flatnonzero(ids[split] == tokenizer.token_to_id("</s>")) + 1)
        texts = texts_of(tmp_path / "corpus", split)
        assert (len(documents), len(rest)) == (len(texts), 0)
        for text, document in zip(texts, documents, strict=True):
            if "</s>" not in text:
                assert document[:-1].tolist() == tokenizer.encode(text, add_special_tokens=False).ids
            elif make is not whole_words:
                words = text.replace(" ", "")
                assert "".join(map(tokenizer.id_to_token, document[:-1])).replace("▁", "") == words


def test_too_little_text_for_the_vocabulary(corpus, tmp_path):
    wanted = TrainedTokenizer(kind="byte-level-bpe", vocabulary=5000)
    with pytest.raises(NervelabError, match=r"tokens only, not 5000: raise dataset\.megabytes or lower"):
        build(corpus, tmp_path / "tokens", wanted)


def test_damaged_corpus_is_refused(corpus, tmp_path):
    path = corpus / "documents.parquet"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(NervelabError, match=r"documents\.parquet is damaged"):
        build(corpus, tmp_path / "tokens")


@pytest.mark.parametrize(("size", "dtype"), [(65_536, "uint16"), (65_537, "uint32")])
def test_published_tokenizer_from_a_folder(corpus, tmp_path, size, dtype):
    """Its truncation and padding are not applied, and a large vocabulary gets four bytes a token."""
    wanted = published(tmp_path / "published", size=size, max_length=4)
    manifest, ids, _ = build(corpus, tmp_path / "tokens", wanted)
    assert manifest["dtype"] == dtype
    words = sum(len(text.split()) for text in texts_of(corpus, "train"))
    assert len(ids["train"]) == words + len(texts_of(corpus, "train"))
    assert ids["train"][-1] == size - 1
    assert HubTokenizer.model_validate(manifest["tokenizer"]) == wanted
    assert manifest["licences"][wanted.name] == "CC0"
    assert set(manifest["licences"].values()) == {"MIT", "CC0"}


def test_other_end_of_text_tokens(corpus, tmp_path):
    _, ids, _ = build(corpus, tmp_path / "llama", published(tmp_path / "a", size=100, end="</s>"))
    assert (ids["train"] == 99).sum() == len(texts_of(corpus, "train"))
    with pytest.raises(NervelabError, match="no end-of-text token"):
        build(corpus, tmp_path / "none", published(tmp_path / "b", size=100, end="[SEP]"))


def test_published_vocabulary_must_match(corpus, tmp_path):
    wanted = published(tmp_path / "published", size=100).model_copy(update={"vocabulary": 101})
    with pytest.raises(NervelabError, match=r"has 100 tokens, not 101: mend tokenizer\.vocabulary"):
        build(corpus, tmp_path / "tokens", wanted)


def test_folder_without_tokenizer_is_named(corpus, tmp_path):
    (tmp_path / "empty").mkdir()
    wanted = HubTokenizer(kind="hub", licence="CC0", name=str(tmp_path / "empty"), vocabulary=10)
    with pytest.raises(NervelabError, match=r"empty/tokenizer\.json is missing: give the folder"):
        build(corpus, tmp_path / "tokens", wanted)


@pytest.mark.parametrize("content", ["{}", "[]", '{"version": "1.0", "model": {"type": "unheard of"}}'])
def test_what_is_no_tokenizer_is_named(corpus, tmp_path, content):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "tokenizer.json").write_text(content)
    wanted = HubTokenizer(kind="hub", licence="CC0", name=str(tmp_path / "other"), vocabulary=10)
    with pytest.raises(NervelabError, match=r"of .*other holds no tokenizer \(.+\): .* tokenizer\.name") as caught:
        build(corpus, tmp_path / "tokens", wanted)
    assert "\n" not in str(caught.value)


def test_hub_tokenizer_is_read_at_the_commit_that_the_manifest_names(corpus, tmp_path, moving_hub):
    for commit, size in (("first", 100), ("second", 90)):
        (moving_hub.root / "owner" / "name").mkdir(parents=True, exist_ok=True)
        published(moving_hub.root / "owner" / "name" / commit, size=size)
    wanted = HubTokenizer(kind="hub", licence="CC0", name="owner/name", vocabulary=100)
    manifest, _, tokenizer = build(corpus, tmp_path / "tokens", wanted)
    assert manifest["revisions"] == {"revision": "first"}
    assert tokenizer.get_vocab_size() == 100
    pinned = wanted.model_copy(update={"vocabulary": 90, "revision": "second"})
    manifest, _, _ = build(corpus, tmp_path / "pinned", pinned)
    assert manifest["revisions"] == {"revision": "second"}
    assert build(corpus, tmp_path / "trained")[0]["revisions"] == {}


def test_hub_tokenizer_out_of_reach_is_one_sentence(corpus, tmp_path, monkeypatch):
    def unreachable(*_arguments, **_options):
        raise OSError("offline mode is enabled")

    monkeypatch.setattr(HfApi, "repo_info", unreachable)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    wanted = HubTokenizer(kind="hub", licence="CC0", name="owner/name", vocabulary=50_257)
    with pytest.raises(NervelabError, match=r"^The hub's model owner/name cannot be read \(offline mode") as caught:
        build(corpus, tmp_path / "tokens", wanted)
    assert "\n" not in str(caught.value)
