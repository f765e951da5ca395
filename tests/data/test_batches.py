import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nervelab.data.batches import TokenStore
from nervelab.data.folders import write_manifest
from nervelab.datafiles import SPLITS
from nervelab.errors import NervelabError

TOKENS = {"train": 1000, "validation": 300, "test": 0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Tokens that are their own position, so that a window tells where it is from."""
    root = tmp_path_factory.mktemp("tokens")
    for split in SPLITS:
        np.arange(TOKENS[split], dtype="<u2").tofile(root / f"{split}.bin")
    manifest = {"id": "x", "dtype": "uint16", "vocabulary": 1000, "end_token": 999, "tokens": TOKENS}
    write_manifest(root, manifest | {"unigram_loss": 5.5}, [f"{split}.bin" for split in SPLITS])
    return root


@pytest.fixture(scope="module")
def store(folder):
    return TokenStore.open(folder)


@pytest.fixture
def own_folder(folder, tmp_path):
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def test_open(store):
    assert (store.id, store.vocabulary, store.end_token, store.unigram_loss) == ("x", 1000, 999, 5.5)
    assert {split: len(ids) for split, ids in store.splits.items()} == TOKENS
    assert isinstance(store.splits["train"], np.memmap)
    store.verify()


def test_batch_is_random_crops_shifted_by_one(store):
    inputs_BT, targets_BT = store.training_batch(seed=1, step=0, batch=32, context=16)
    assert inputs_BT.dtype == targets_BT.dtype == torch.int64
    assert inputs_BT.shape == targets_BT.shape == (32, 16)
    assert torch.equal(inputs_BT[:, 1:], targets_BT[:, :-1])
    assert torch.equal(inputs_BT + 1, targets_BT)
    assert torch.equal(inputs_BT - inputs_BT[:, :1], torch.arange(16).expand(32, 16))


def test_batch_in_any_order(store):
    steps = [0, 7, 3, 2**40]
    forward = {step: store.training_batch(seed=5, step=step, batch=4, context=8) for step in steps}
    for step in reversed(steps):
        for again, before in zip(
            store.training_batch(seed=5, step=step, batch=4, context=8), forward[step], strict=True
        ):
            assert torch.equal(again, before)


def test_batch_differs_by_seed_and_step(store):
    batches = [
        store.training_batch(seed=seed, step=step, batch=4, context=8)[0] for seed in range(3) for step in range(3)
    ]
    assert len({tuple(batch.flatten().tolist()) for batch in batches}) == 9


def test_batch_is_pinned_down(store):
    """Philox 4x64-10 with key (0, 0) counts from 1; its words modulo the 992 possible starts."""
    inputs_BT, _ = store.training_batch(seed=0, step=0, batch=4, context=8)
    words = [philox_4x64_10(counter=(1, 0, 0, 0), key=(0, 0))[n] for n in range(4)]
    assert inputs_BT[:, 0].tolist() == [word % 992 for word in words]


def philox_4x64_10(*, counter, key):
    """The generator of Salmon et al. (2011), written out."""
    mask = 2**64 - 1
    (c0, c1, c2, c3), (k0, k1) = counter, key
    for _ in range(10):
        high0, low0 = divmod(0xD2E7470EE14C6C93 * c0, 2**64)
        high1, low1 = divmod(0xCA5A826395121157 * c2, 2**64)
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0, k1 = (k0 + 0x9E3779B97F4A7C15) & mask, (k1 + 0xBB67AE8584CAA73B) & mask
    return c0, c1, c2, c3


def test_batches_reach_both_ends(store):
    starts = store.training_batch(seed=0, step=0, batch=20_000, context=10)[0][:, 0]
    assert (starts.min(), starts.max()) == (0, 1000 - 11)
    assert len(starts.unique()) == 990


def test_shortest_possible_split(store):
    inputs_BT, targets_BT = store.training_batch(seed=0, step=0, batch=2, context=999)
    assert inputs_BT[:, 0].tolist() == [0, 0]
    assert targets_BT[:, -1].tolist() == [999, 999]
    with pytest.raises(NervelabError, match=r"train split of .* has 1000 tokens where 1001 are needed: raise"):
        store.training_batch(seed=0, step=0, batch=2, context=1000)


@settings(max_examples=50)
@given(context=st.integers(1, 60), count=st.integers(1, 60))
def test_windows_are_evenly_spaced_and_disjoint(store, context, count):
    tokens = context * count
    if tokens + 1 > TOKENS["validation"]:
        with pytest.raises(NervelabError, match=r"validation split .* has 300 tokens .* fewer tokens"):
            store.fixed_windows("validation", tokens=tokens, context=context)
        return
    inputs_NT, targets_NT = store.fixed_windows("validation", tokens=tokens, context=context)
    assert inputs_NT.shape == targets_NT.shape == (count, context)
    assert len(inputs_NT.unique()) == tokens
    assert torch.equal(targets_NT, inputs_NT + 1)
    assert targets_NT.max() < TOKENS["validation"]
    assert len(inputs_NT[:, 0].diff().unique()) <= 1
    assert torch.equal(inputs_NT, store.fixed_windows("validation", tokens=tokens, context=context)[0])


def test_windows_span_the_split(store):
    inputs_NT, _ = store.fixed_windows("validation", tokens=40, context=10)
    assert inputs_NT[:, 0].tolist() == [0, 74, 148, 222]


def test_windows_of_an_empty_split(store):
    with pytest.raises(NervelabError, match=r"test split .* has 0 tokens where 11 are needed"):
        store.fixed_windows("test", tokens=10, context=10)


def test_windows_are_whole(store):
    with pytest.raises(NervelabError, match="15 tokens are no whole number of sequences of 10"):
        store.fixed_windows("validation", tokens=15, context=10)


def test_truncated_file_is_refused_by_name(own_folder):
    path = own_folder / "train.bin"
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(NervelabError, match=r"train\.bin is damaged \(1998 bytes instead of 2000\): delete the folder"):
        TokenStore.open(own_folder)


def test_missing_file_is_refused_by_name(own_folder):
    (own_folder / "validation.bin").unlink()
    with pytest.raises(NervelabError, match=r"validation\.bin is missing: delete the folder"):
        TokenStore.open(own_folder)


def test_flipped_bit_is_found_by_verify(own_folder):
    path = own_folder / "train.bin"
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    store = TokenStore.open(own_folder)
    with pytest.raises(NervelabError, match=r"train\.bin is damaged"):
        store.verify()


def test_uint32_tokens(own_folder):
    ids = np.arange(70_000, 70_300, dtype="<u4")
    for split in SPLITS:
        ids.tofile(own_folder / f"{split}.bin")
    manifest = json.loads((own_folder / "manifest.json").read_text())
    del manifest["seal"]
    manifest |= {"dtype": "uint32", "vocabulary": 70_300, "tokens": dict.fromkeys(SPLITS, 300)}
    (own_folder / "manifest.json").write_text(json.dumps(manifest))
    inputs_NT, _ = TokenStore.open(own_folder).fixed_windows("test", tokens=299, context=299)
    assert inputs_NT[0].tolist() == list(range(70_000, 70_299))
