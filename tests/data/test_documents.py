import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from nervelab.data import documents
from nervelab.data.batches import PADDING, TokenStore
from nervelab.data.documents import Chunks, Documents
from nervelab.data.folders import write_manifest
from nervelab.datafiles import SPLITS
from nervelab.errors import NervelabError

END = 9
TEXTS = [[1, 2, 3], [4], [], [5, 6, 7, 8, 1, 2], [3, 3]]


def written(texts):
    return np.array([token for text in texts for token in (*text, END)], "<u2")


def window(text, context):
    """One token at a time: what follows each token, until the end of the document or of the window."""
    inputs, targets = [END] * context, [PADDING] * context
    for position, (token, following) in enumerate(zip(text, [*text[1:], END], strict=True)):
        if position < context:
            inputs[position], targets[position] = token, following
    return inputs, targets


@pytest.fixture
def store(tmp_path):
    ids = {"train": written(TEXTS), "validation": written([[n % END] for n in range(50)]), "test": written([])}
    for split in SPLITS:
        ids[split].tofile(tmp_path / f"{split}.bin")
    tokens = {split: len(ids[split]) for split in SPLITS}
    manifest = {"id": "x", "dtype": "uint16", "vocabulary": 10, "end_token": END, "tokens": tokens, "unigram_loss": 2.0}
    write_manifest(tmp_path, manifest, [f"{split}.bin" for split in SPLITS])
    return TokenStore.open(tmp_path)


@given(
    texts=st.lists(st.lists(st.integers(0, END - 1), max_size=8), max_size=8),
    context=st.integers(1, 10),
    at_once=st.integers(1, 12),
)
def test_windows_token_by_token(texts, context, at_once):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(documents, "TOKENS_AT_ONCE", at_once)
        found = Documents.find(written(texts), end_token=END)
    filled = [text for text in texts if text]
    assert len(found) == len(filled)
    if not filled:
        return
    inputs_NT, targets_NT = found.windows(np.arange(len(filled)), context=context)
    assert inputs_NT.dtype == targets_NT.dtype == torch.int64
    assert list(zip(inputs_NT.tolist(), targets_NT.tolist(), strict=True)) == [window(text, context) for text in filled]


def test_tokens_after_the_last_end_are_no_document():
    assert len(Documents.find(np.array([1, END, 2, 3], "<u2"), end_token=END)) == 1


def test_loss_sees_no_padding():
    """torch leaves the padding out of a mean: as if each document were its own batch."""
    found = Documents.find(written(TEXTS), end_token=END)
    _, targets_NT = found.windows(np.arange(4), context=5)
    logits = torch.randn(4, 5, 10, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    sums = 0.0
    for number, text in enumerate(text for text in TEXTS if text):
        followed = torch.tensor([*text, END][1:6])
        sums += functional.cross_entropy(logits[number, : len(followed)], followed, reduction="sum")
    mean = functional.cross_entropy(logits.flatten(0, 1), targets_NT.flatten())
    assert mean.item() == pytest.approx(sums.item() / (3 + 1 + 5 + 2), rel=1e-12)


def test_batch_is_documents_whatever_came_before(store):
    expected = {tuple(map(tuple, window(text, 4))) for text in TEXTS if text}
    batches = {}
    for step in (0, 3, 1):
        inputs_BT, targets_BT = store.training_batch(seed=1, step=step, batch=6, context=4, windows="documents")
        batches[step] = list(zip(map(tuple, inputs_BT.tolist()), map(tuple, targets_BT.tolist()), strict=True))
        assert set(batches[step]) <= expected
    again = TokenStore.open(store.folder).training_batch(seed=1, step=3, batch=6, context=4, windows="documents")
    assert [tuple(row) for row in again[0].tolist()] == [inputs for inputs, _ in batches[3]]
    assert len({str(batch) for batch in batches.values()}) == 3


def test_every_document_is_as_likely(store):
    firsts = store.training_batch(seed=0, step=0, batch=40_000, context=1, windows="documents")[0][:, 0]
    counts = torch.bincount(firsts, minlength=10)
    # Documents begin with 1, 4, 5 and 3.
    assert counts.nonzero().flatten().tolist() == [1, 3, 4, 5]
    assert (counts[counts > 0] / 40_000 - 0.25).abs().max() < 5 * (0.25 * 0.75 / 40_000) ** 0.5


@pytest.mark.parametrize(("count", "spacing"), [(1, 50), (7, 7), (26, 1), (50, 1)])
def test_held_out_documents_are_evenly_spaced(store, count, spacing):
    inputs_NT, targets_NT = store.fixed_windows("validation", tokens=3 * count, context=3, windows="documents")
    assert inputs_NT.tolist() == [[n * spacing % END, END, END] for n in range(count)]
    assert targets_NT.tolist() == [[END, PADDING, PADDING]] * count


def test_too_few_documents_is_one_sentence(store):
    with pytest.raises(NervelabError, match=r"validation split of .* has 50 documents where 51 are needed: raise"):
        store.fixed_windows("validation", tokens=51 * 3, context=3, windows="documents")
    with pytest.raises(NervelabError, match=r"test split of .* has 0 documents where 1 are needed"):
        store.fixed_windows("test", tokens=3, context=3, windows="documents")


def test_training_split_without_documents(store):
    (store.folder / "train.bin").write_bytes(b"")
    manifest = json.loads((store.folder / "manifest.json").read_text())
    del manifest["seal"]
    manifest["tokens"]["train"] = 0
    (store.folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(NervelabError, match=r"train split of .* has 0 documents where 1 are needed"):
        TokenStore.open(store.folder).training_batch(seed=0, step=0, batch=2, context=3, windows="documents")


def chunks(texts, context):
    """Pieces of a length that is taken off the front of each document while it lasts."""
    found = []
    for text in texts:
        left = list(text)
        while len(left) >= context:
            found.append(left[:context])
            left = left[context:]
    return found


def rows(windows):
    return list(zip(windows[0].tolist(), windows[1].tolist(), strict=True))


@given(
    texts=st.lists(st.lists(st.integers(0, END - 1), max_size=12), max_size=8),
    context=st.integers(1, 6),
    order=st.randoms(use_true_random=False),
)
def test_chunks_piece_by_piece(texts, context, order):
    cut = Chunks.of(Documents.find(written(texts), end_token=END), context=context)
    expected = [(piece, [*piece[1:], PADDING]) for piece in chunks(texts, context)]
    assert len(cut) == len(expected)
    numbers = [*range(len(expected))] * 2
    order.shuffle(numbers)
    inputs_NT, targets_NT = cut.windows(np.array(numbers, np.int64))
    assert inputs_NT.dtype == targets_NT.dtype == torch.int64
    assert rows((inputs_NT, targets_NT)) == [expected[number] for number in numbers]


@given(lengths=st.lists(st.integers(0, 12), min_size=1, max_size=8), context=st.integers(1, 6))
def test_no_chunk_crosses_a_document(lengths, context):
    """Every token of a document is its number: a chunk has one number in it, each as often as its document has room."""
    end = len(lengths)
    ids = np.array([token for number, length in enumerate(lengths) for token in [number] * length + [end]], "<u2")
    cut = Chunks.of(Documents.find(ids, end_token=end), context=context)
    inputs_NT, _ = cut.windows(np.arange(len(cut)))
    assert all(len(set(row)) == 1 for row in inputs_NT.tolist())
    held = [row[0] for row in inputs_NT.tolist()]
    assert [held.count(number) for number in range(end)] == [length // context for length in lengths]
    assert end not in held


@pytest.fixture
def long_documents(store):
    """Documents of 0, 1, ... 40 tokens, no token twice; as held-out text the same."""
    ends = np.cumsum([n + 1 for n in range(41)]) - 1
    ids = np.arange(ends[-1] + 1, dtype="<u2")
    ids[ends] = len(ids)
    for split in ("train", "validation"):
        ids.tofile(store.folder / f"{split}.bin")
    manifest = json.loads((store.folder / "manifest.json").read_text())
    del manifest["seal"]
    manifest["tokens"] |= {"train": len(ids), "validation": len(ids)}
    manifest |= {"end_token": len(ids), "vocabulary": len(ids) + 1}
    (store.folder / "manifest.json").write_text(json.dumps(manifest))
    texts = [ids[end - n : end].tolist() for n, end in enumerate(ends)]
    return TokenStore.open(store.folder), texts


def test_batch_is_chunks_whatever_came_before(long_documents):
    store, texts = long_documents
    whole = chunks(texts, 4)
    expected = [(piece, [*piece[1:], PADDING]) for piece in whole]
    asked = {"seed": 1, "batch": 6, "context": 4, "windows": "chunks"}
    batches = {step: rows(store.training_batch(step=step, **asked)) for step in (0, 3, 1)}
    assert all(row in expected for batch in batches.values() for row in batch)
    assert rows(TokenStore.open(store.folder).training_batch(step=3, **asked)) == batches[3]
    assert len({str(batch) for batch in batches.values()}) == 3
    longer = rows(store.training_batch(step=3, **asked | {"context": 5}))
    assert all(row[0] in chunks(texts, 5) for row in longer), "chunks of another length are kept for it"


def test_every_chunk_is_as_likely(long_documents):
    """Of a long document as of a short one, so that a document counts by its chunks."""
    store, texts = long_documents
    firsts = [piece[0] for piece in chunks(texts, 10)]
    drawn = store.training_batch(seed=0, step=0, batch=60_000, context=10, windows="chunks")[0][:, 0]
    counts = torch.bincount(drawn, minlength=store.vocabulary)
    assert counts.nonzero().flatten().tolist() == firsts
    share = 1 / len(firsts)
    assert (counts[counts > 0] / 60_000 - share).abs().max() < 5 * (share * (1 - share) / 60_000) ** 0.5


@pytest.mark.parametrize(("count", "spacing"), [(1, 64), (7, 9), (32, 2), (33, 1), (64, 1)])
def test_held_out_chunks_are_evenly_spaced(long_documents, count, spacing):
    store, texts = long_documents
    whole = chunks(texts, 10)
    assert len(whole) == 64
    found = rows(store.fixed_windows("validation", tokens=10 * count, context=10, windows="chunks"))
    assert [inputs for inputs, _ in found] == [whole[n * spacing] for n in range(count)]
    assert found == rows(store.fixed_windows("validation", tokens=10 * count, context=10, windows="chunks"))


def test_too_few_chunks_is_one_sentence(long_documents):
    store, _ = long_documents
    few = r"validation split of .* has 64 whole chunks of 10 tokens where 65 are needed: raise megabytes"
    with pytest.raises(NervelabError, match=few):
        store.fixed_windows("validation", tokens=650, context=10, windows="chunks")
    with pytest.raises(NervelabError, match=r"train split of .* has 0 whole chunks of 41 tokens where 1 are needed"):
        store.training_batch(seed=0, step=0, batch=2, context=41, windows="chunks")
    with pytest.raises(NervelabError, match=r"test split of .* has 0 whole chunks of 3 tokens where 1 are needed"):
        store.fixed_windows("test", tokens=3, context=3, windows="chunks")
