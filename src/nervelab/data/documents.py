"""The documents of a split as windows of one length: their fronts, padded where they end, or all their whole chunks."""

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


@dataclass(frozen=True)
class Chunks:
    """The whole chunks of the documents of a split. Memory: 8 bytes a document, beside that of the documents.

    Each document, without its end token, is cut from its front into chunks of `context` tokens; what remains at its end
    is left out, and so is a document that is shorter.

    Attributes:
        documents: where the documents lie.
        context: T, the length of a chunk.
        until_D: the number of chunks of each document and of those before it together.
    """

    documents: Documents
    context: int
    until_D: np.ndarray

    @classmethod
    def of(cls, documents: Documents, *, context: int) -> Chunks:
        """Count the chunks of `context` tokens."""
        lengths_D = documents.ends_D - documents.starts_D
        return cls(documents=documents, context=context, until_D=np.cumsum(lengths_D // context))

    def __len__(self) -> int:
        return int(self.until_D[-1]) if len(self.until_D) else 0

    def windows(self, chunks_N: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """The tokens of each of the chunks, and what follows each of them inside the chunk.

        The last token has no target but `PADDING`, so T tokens are T - 1 targets, as in the code released with NerVE.

        Args:
            chunks_N: numbers of chunks.

        Returns:
            inputs_NT and targets_NT (int64).
        """
        documents_N = np.searchsorted(self.until_D, chunks_N, side="right")
        before_N = np.where(documents_N > 0, self.until_D[documents_N - 1], 0)
        starts_N = self.documents.starts_D[documents_N] + (chunks_N - before_N) * self.context
        ids_NT = self.documents.ids[starts_N[:, None] + np.arange(self.context)].astype(np.int64)
        targets_NT = np.full_like(ids_NT, PADDING)
        targets_NT[:, :-1] = ids_NT[:, 1:]
        return torch.from_numpy(ids_NT), torch.from_numpy(targets_NT)
