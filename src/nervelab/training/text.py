"""Next-token prediction: the task of the decoders."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from nervelab.data.batches import PADDING, TokenStore
from nervelab.probes.positions import UNMEASURED, Positions
from nervelab.probes.sites import FFNSite, find_ffns
from nervelab.training.task import Batch

if TYPE_CHECKING:
    from nervelab.study.config import RunConfig

THIRDS = ("early", "middle", "late")


class TextTask:
    """Windows of a text, each token's target being the next one (see `nervelab.training.task`).

    Of documents, padding is neither measured nor a target; of chunks, every token is measured, and all but the first of
    each are targets.
    """

    tokens_per_target = 1

    def __init__(self, config: RunConfig, store: TokenStore) -> None:
        self.config, self.store = config, store
        self.outputs = store.vocabulary
        self.unigram_loss = store.unigram_loss
        self.windows = config.training.windows
        self.measured_is_evaluated = config.measure.source == "probe"
        thirds = config.measure.by_position
        self.padded = self.windows == "documents"
        self.positions = Positions(THIRDS if thirds else (), self._labels) if thirds or self.padded else None

    def training_batch(self, step: int) -> Batch:
        """Inputs and targets of shape (batch, context)."""
        return self.store.training_batch(
            seed=self.config.seed,
            step=step,
            batch=self.config.training.batch,
            context=self.config.model.context,
            windows=self.windows,
        )

    def measured(self, step: int) -> Iterator[Batch]:
        """The probe, or the batch of the step that is still to come, in micro-batches."""
        tokens = self.config.measure.tokens
        return self._chunks(self.training_batch(step) if tokens is None else self._held_out(tokens))

    def evaluated(self) -> Iterator[Batch]:
        """The evaluation set in micro-batches."""
        return self._chunks(self._held_out(self.config.training.eval_tokens))

    def sites(self, model: nn.Module) -> Sequence[FFNSite]:
        """The FFN of every block."""
        return find_ffns(model)

    def loss_sum(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Summed over all real targets. Shapes: (batch, context, vocabulary) and (batch, context)."""
        logits_NV, targets_N = outputs.flatten(0, 1).float(), targets.flatten()
        return functional.cross_entropy(logits_NV, targets_N, reduction="sum", ignore_index=PADDING)

    def count(self, targets: Tensor) -> int:
        """The real targets: those that are tokens."""
        if self.padded:
            return int((targets != PADDING).sum())
        return targets.numel() - (len(targets) if self.windows == "chunks" else 0)

    def correct(self, outputs: Tensor, targets: Tensor) -> None:
        """Accuracy is not what a language model is judged by."""
        return

    def _held_out(self, tokens: int) -> Batch:
        context = self.config.model.context
        return self.store.fixed_windows("validation", tokens=tokens, context=context, windows=self.windows)

    def _chunks(self, windows: Batch) -> Iterator[Batch]:
        parts = (each.split(self.config.measure.chunk) for each in windows)
        return zip(*parts, strict=True)

    def _labels(self, batch: Batch) -> Tensor:
        """The third of the sequence that each token is in, or 0 for all; padding of documents is not measured."""
        _, targets_BT = batch
        context = targets_BT.shape[1]
        groups = len(THIRDS) if self.config.measure.by_position else 1
        third_T = torch.arange(context, device=targets_BT.device) * groups // context
        unmeasured_BT = targets_BT == PADDING if self.padded else torch.zeros_like(targets_BT, dtype=torch.bool)
        return torch.where(unmeasured_BT, UNMEASURED, third_T)


def open_task(config: RunConfig, folder: Path) -> TextTask:
    """The task over a folder of tokens.

    Raises:
        NervelabError: the folder is damaged.
    """
    return TextTask(config, TokenStore.open(folder))
