"""Next-token prediction as a task: what is counted, what is measured, and in which third of the sequence."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import nn

from nervelab.files import sha256, write_json
from nervelab.probes.positions import UNMEASURED
from nervelab.study.config import RunConfig
from nervelab.training.loop import Meter
from nervelab.training.text import TextTask, open_task
from tests.support.configs import varied

CONTEXT, VOCABULARY, END = 8, 20, 0
LENGTHS = (3, 5, 12, 1, 7, 8, 4, 6) * 20


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    """Documents of known lengths, each ended by the end token."""
    random = np.random.default_rng(0)
    ids = np.concatenate([np.append(random.integers(1, VOCABULARY, length), END) for length in LENGTHS])
    names = {split: f"{split}.bin" for split in ("train", "validation", "test")}
    for name in names.values():
        ids.astype("<u2").tofile(tmp_path / name)
    files = {name: sha256(tmp_path / name) for name in names.values()}
    known = {"id": "x", "dtype": "uint16", "vocabulary": VOCABULARY, "end_token": END, "unigram_loss": 3.0}
    write_json(tmp_path / "manifest.json", known | {"tokens": dict.fromkeys(names, len(ids)), "files": files})
    return tmp_path


def task(folder: Path, config: RunConfig, *, windows: str = "documents", **measure: object) -> TextTask:
    training = {"windows": windows, "batch": 6, "eval_tokens": 80}
    probe = {"tokens": 80, "chunk": 3} | measure
    config = varied(config, training=training, measure=probe, model={"context": CONTEXT})
    settings = json.loads(config.model_dump_json(), object_hook=lambda each: SimpleNamespace(**each))
    return open_task(settings, folder)


def test_padding_counts_neither_in_losses_nor_in_their_number(documents: Path, smoke_config: RunConfig):
    padded = task(documents, smoke_config)
    total = count = 0
    by_hand = []
    for inputs_BT, targets_BT in padded.evaluated():
        logits_BTV = torch.randn(*inputs_BT.shape, VOCABULARY)
        total += padded.loss_sum(logits_BTV, targets_BT).item()
        count += padded.count(targets_BT)
        for logits_TV, targets_T in zip(logits_BTV.double(), targets_BT, strict=True):
            by_hand += [
                math.log(logits_V.exp().sum()) - logits_V[target].item()
                for logits_V, target in zip(logits_TV, targets_T.tolist(), strict=True)
                if target >= 0
            ]
    assert 0 < count == len(by_hand) < 80
    assert total == pytest.approx(sum(by_hand), rel=1e-5)


def test_a_document_of_three_tokens_has_three_targets(documents: Path, smoke_config: RunConfig):
    """Its tokens predict the two after the first, and its end; what follows is padding."""
    batches = [batch for step in range(30) for batch in [task(documents, smoke_config).training_batch(step)]]
    real = {int((targets_T >= 0).sum()) for _, targets_BT in batches for targets_T in targets_BT}
    assert real == {min(length, CONTEXT) for length in LENGTHS}


@pytest.mark.parametrize("windows", ["documents", "crops"])
def test_each_third_of_the_sequence_is_a_group_and_padding_is_in_none(
    documents: Path, smoke_config: RunConfig, windows: str
):
    grouped = task(documents, smoke_config, windows=windows, by_position=True)
    assert grouped.positions.names == ("early", "middle", "late")
    batch = grouped.training_batch(0)
    labels_BT = grouped.positions.label(batch)
    expected_T = torch.tensor([0, 0, 0, 1, 1, 1, 2, 2])
    for labels_T, targets_T in zip(labels_BT, batch[1], strict=True):
        real = targets_T >= 0
        assert torch.equal(labels_T[real], expected_T[real])
        assert (labels_T[~real] == UNMEASURED).all()
    assert (labels_BT == UNMEASURED).any().item() is (windows == "documents")


def test_crops_are_measured_whole_unless_groups_are_asked_for(documents: Path, smoke_config: RunConfig):
    assert task(documents, smoke_config, windows="crops").positions is None
    padded = task(documents, smoke_config).positions
    assert padded.names == ()
    _, targets_BT = batch = task(documents, smoke_config).training_batch(0)
    assert torch.equal(padded.label(batch) == 0, targets_BT >= 0)


def test_the_loss_of_chunks_is_the_mean_over_the_targets_inside_of_each(documents: Path, smoke_config: RunConfig):
    """As transformers shifts its labels: the outputs of all tokens but the last against the tokens but the first."""
    cut = task(documents, smoke_config, windows="chunks")
    meter = Meter(nn.Embedding(VOCABULARY, VOCABULARY), cut)
    losses = []
    with torch.no_grad():
        for inputs_BT, targets_BT in cut.evaluated():
            meter((inputs_BT, targets_BT))
            assert (inputs_BT != END).all()
            for inputs_T in inputs_BT:
                logits_TV = meter.model.weight[inputs_T].double()
                for position in range(CONTEXT - 1):
                    of_next = logits_TV[position].log_softmax(0)[inputs_T[position + 1]]
                    losses.append(-of_next.item())
    assert len(losses) == 80 // CONTEXT * (CONTEXT - 1) == meter.count
    assert meter.evaluation().loss == pytest.approx(sum(losses) / len(losses), rel=1e-6)


def test_of_chunks_every_token_is_measured_and_of_the_targets_all_but_the_last_count(
    documents: Path, smoke_config: RunConfig
):
    cut = task(documents, smoke_config, windows="chunks")
    batch = inputs_BT, targets_BT = cut.training_batch(0)
    assert inputs_BT.shape == targets_BT.shape == (6, CONTEXT)
    assert cut.positions is None, "all tokens are measured"
    assert cut.count(targets_BT) == 6 * (CONTEXT - 1)
    grouped = task(documents, smoke_config, windows="chunks", by_position=True)
    labels_BT = grouped.positions.label(batch)
    assert torch.equal(labels_BT, torch.tensor([0, 0, 0, 1, 1, 1, 2, 2]).expand(6, CONTEXT))
    assert grouped.count(targets_BT) == 6 * (CONTEXT - 1)


def test_a_chunk_of_one_token_is_refused(smoke_config: RunConfig):
    with pytest.raises(ValidationError, match=r"a chunk of one token has no target: raise model\.context"):
        varied(smoke_config, training={"windows": "chunks"}, model={"context": 1})


def test_what_is_measured_is_the_probe_or_the_batch_to_come(documents: Path, smoke_config: RunConfig):
    probe = task(documents, smoke_config)
    assert probe.measured_is_evaluated
    assert [len(inputs_BT) for inputs_BT, _ in probe.measured(5)] == [3, 3, 3, 1]
    assert all(
        torch.equal(one, other)
        for some, others in zip(probe.measured(0), probe.measured(5), strict=True)
        for one, other in zip(some, others, strict=True)
    )
    batch = task(documents, smoke_config, source="batch", tokens=None)
    assert not batch.measured_is_evaluated
    measured_BT = torch.cat([inputs_BT for inputs_BT, _ in batch.measured(5)])
    assert torch.equal(measured_BT, batch.training_batch(5)[0])
