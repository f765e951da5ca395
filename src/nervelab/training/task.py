"""What the loop needs to know of what it trains on: batches, losses, what is measured and what is evaluated."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import Protocol

from torch import Tensor, nn

from nervelab.probes.positions import Positions
from nervelab.probes.sites import FFNSite

Batch = tuple[Tensor, Tensor]
"""Inputs and targets, on the CPU."""


class Task(Protocol):
    """The data of one run, and how a model is judged on them. Everything is a pure function of the run's settings.

    Attributes:
        outputs: the size of the model's output: the vocabulary, or the number of classes.
        unigram_loss: nats of held-out targets under the frequencies of the training targets.
        tokens_per_target: how many tokens a target stands for: one, or the patches of an image.
        measured_is_evaluated: whether the eval loss of a measured step is that of what is measured.
        positions: which tokens are measured, and in which groups; None for all of them, in one.
    """

    outputs: int
    unigram_loss: float
    tokens_per_target: int
    measured_is_evaluated: bool
    positions: Positions | None

    def training_batch(self, step: int) -> Batch:
        """The batch of a step, from 0; whatever is random in it is drawn from the run's seed and the step."""

    def measured(self, step: int) -> Iterator[Batch]:
        """The micro-batches that are measured after `step` steps."""

    def evaluated(self) -> Iterator[Batch]:
        """The held-out micro-batches whose loss is the eval loss."""

    def sites(self, model: nn.Module) -> Sequence[FFNSite]:
        """The FFNs that are measured."""

    def loss_sum(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The summed cross-entropy in nats, in float32."""

    def count(self, targets: Tensor) -> int:
        """How many targets that sum is over."""

    def correct(self, outputs: Tensor, targets: Tensor) -> int | None:
        """How many targets the largest output names; None where accuracy is not what one asks for."""


def batch_digest(batch: Batch) -> int:
    """Eight bytes that tell a batch on the CPU from any other, as a signed number: its contents and their order."""
    total = blake2b(digest_size=8)
    for part in batch:
        total.update(part.contiguous().numpy())
    return int.from_bytes(total.digest(), "little", signed=True)
