import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from nervelab.data import documents
from nervelab.data.batches import PADDING, TokenStore
from nervelab.data.documents import Documents
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
        inputs_BT, targets_BT = store.training_batch(seed=1, step=step, batch=6, context=4, documents=True)
        batches[step] = list(zip(map(tuple, inputs_BT.tolist()), map(tuple, targets_BT.tolist()), strict=True))
        assert set(batches[step]) <= expected
    again = TokenStore.open(store.folder).training_batch(seed=1, step=3, batch=6, context=4, documents=True)
    assert [tuple(row) for row in again[0].tolist()] == [inputs for inputs, _ in batches[3]]
    assert len({str(batch) for batch in batches.values()}) == 3


def test_every_document_is_as_likely(store):
    firsts = store.training_batch(seed=0, step=0, batch=40_000, context=1, documents=True)[0][:, 0]
    counts = torch.bincount(firsts, minlength=10)
    # Documents begin with 1, 4, 5 and 3.
    assert counts.nonzero().flatten().tolist() == [1, 3, 4, 5]
    assert (counts[counts > 0] / 40_000 - 0.25).abs().max() < 5 * (0.25 * 0.75 / 40_000) ** 0.5


@pytest.mark.parametrize(("count", "spacing"), [(1, 50), (7, 7), (26, 1), (50, 1)])
def test_held_out_documents_are_evenly_spaced(store, count, spacing):
    inputs_NT, targets_NT = store.fixed_windows("validation", tokens=3 * count, context=3, documents=True)
    assert inputs_NT.tolist() == [[n * spacing % END, END, END] for n in range(count)]
    assert targets_NT.tolist() == [[END, PADDING, PADDING]] * count


def test_too_few_documents_is_one_sentence(store):
    with pytest.raises(NervelabError, match=r"validation split of .* has 50 documents where 51 are needed: raise"):
        store.fixed_windows("validation", tokens=51 * 3, context=3, documents=True)
    with pytest.raises(NervelabError, match=r"test split of .* has 0 documents where 1 are needed"):
        store.fixed_windows("test", tokens=3, context=3, documents=True)


def test_training_split_without_documents(store):
    (store.folder / "train.bin").write_bytes(b"")
    manifest = json.loads((store.folder / "manifest.json").read_text())
    del manifest["seal"]
    manifest["tokens"]["train"] = 0
    (store.folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(NervelabError, match=r"train split of .* has 0 documents where 1 are needed"):
        TokenStore.open(store.folder).training_batch(seed=0, step=0, batch=2, context=3, documents=True)
