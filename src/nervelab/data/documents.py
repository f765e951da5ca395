"""The documents of a split as windows of one length: cut at its end, or filled up with padding."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

PADDING = -100
"""The target where there is none: the `ignore_index` of torch's cross-entropy."""

TOKENS_AT_ONCE = 2**24


@dataclass(frozen=True)
class Documents:
    """Where the documents of a split lie. Memory: 16 bytes a document.

    Attributes:
        ids: the token ids of the split, each document followed by the end token.
        starts_D: the position of the first token of each document that has one before its end token.
        ends_D: the position of its end token.
    """

    ids: np.ndarray
    starts_D: np.ndarray
    ends_D: np.ndarray

    @classmethod
    def find(cls, ids: np.ndarray, *, end_token: int) -> Documents:
        """Find the end tokens, reading `TOKENS_AT_ONCE` at a time. Documents without a token are left out."""
        blocks = range(0, len(ids), TOKENS_AT_ONCE)
        found = [start + np.flatnonzero(ids[start : start + TOKENS_AT_ONCE] == end_token) for start in blocks]
        ends = np.concatenate([np.zeros(0, np.int64), *found])
        starts = np.concatenate([np.zeros(1, np.int64), ends + 1])[: len(ends)]
        filled = starts < ends
        return cls(ids=ids, starts_D=starts[filled], ends_D=ends[filled])

    def __len__(self) -> int:
        return len(self.starts_D)

    def windows(self, documents_N: np.ndarray, *, context: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The first `context` tokens of each of the documents, and what follows each of these tokens.

        The end token that follows a whole document is its last target; behind it, inputs are end tokens and targets
        `PADDING`. What is longer than the window is left out, as in the recipe of MixLN (Li et al. 2025).

        Args:
            documents_N: numbers of documents.
            context: T, the length of a window.

        Returns:
            inputs_NT and targets_NT (int64).
        """
        ends_N1 = self.ends_D[documents_N][:, None]
        positions_NW = self.starts_D[documents_N][:, None] + np.arange(context + 1)
        ids_NW = self.ids[np.minimum(positions_NW, ends_N1)].astype(np.int64)
        targets_NT = np.where(positions_NW[:, 1:] <= ends_N1, ids_NW[:, 1:], PADDING)
        return torch.from_numpy(ids_NW[:, :-1].copy()), torch.from_numpy(targets_NT)
