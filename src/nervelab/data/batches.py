"""Serving batches and held-out windows from a folder of tokens: what the trainer imports."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from nervelab.data import folders
from nervelab.data.documents import PADDING, Chunks, Documents
from nervelab.datafiles import MANIFEST, SPLITS
from nervelab.errors import NervelabError, damaged, missing

__all__ = ["PADDING", "TokenStore"]

KEYS = ("id", "dtype", "vocabulary", "end_token", "tokens", "unigram_loss")
DTYPES = ("uint16", "uint32")


@dataclass(frozen=True)
class TokenStore:
    """The token ids of a corpus, memory-mapped.

    `unigram_loss` is the cross-entropy (nats per token) of the validation split under the token frequencies
    of the training split: what a model that learned nothing else would reach. `end_token` is what every document of a
    split is followed by.
    """

    folder: Path
    id: str
    vocabulary: int
    end_token: int
    unigram_loss: float
    splits: dict[str, np.ndarray]
    _documents: dict[str, Documents] = field(default_factory=dict, init=False, repr=False, compare=False)
    _chunks: dict[tuple[str, int], Chunks] = field(default_factory=dict, init=False, repr=False, compare=False)

    @classmethod
    def open(cls, folder: Path) -> "TokenStore":
        """Map the files of a folder, after a check of its manifest and their sizes (`verify` reads it all).

        Raises:
            NervelabError: the manifest or a file is missing, or of the wrong size.
        """
        manifest = folders.read_manifest(folder, keys=KEYS)
        if manifest["dtype"] not in DTYPES:
            how = f"it holds tokens as {manifest['dtype']!r}"
            raise damaged(folder / MANIFEST, how, folders.remedy(folder))
        dtype = np.dtype(manifest["dtype"]).newbyteorder("<")
        return cls(
            folder=folder,
            id=manifest["id"],
            vocabulary=manifest["vocabulary"],
            end_token=manifest["end_token"],
            unigram_loss=manifest["unigram_loss"],
            splits={
                split: _mapped(folder / f"{split}.bin", tokens=manifest["tokens"][split], dtype=dtype)
                for split in SPLITS
            },
        )

    def verify(self) -> None:
        """Compare every file with its sha256; raises `NervelabError` naming the one that differs."""
        folders.verify(self.folder)

    def training_batch(
        self, *, seed: int, step: int, batch: int, context: int, windows: str = "crops"
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The training batch of one step: random windows of the training split.

        A pure function of its arguments, so that a resumed run replays nothing and skips nothing. Each crop, document
        or chunk is as likely as any other, whatever came before: they are drawn with replacement, where the code
        released with NerVE goes through its chunks once, in a shuffled order.

        Args:
            seed: the seed of the run.
            step: the step, from 0.
            batch: B, the number of sequences.
            context: T, the number of tokens of a sequence.
            windows: "crops" anywhere in the running text, "documents", of each its front (see `Documents.windows`), or
                "chunks" of documents (see `Chunks`).

        Returns:
            inputs_BT and targets_BT (int64), the targets one token further on, or `PADDING`.

        Raises:
            NervelabError: the training split has no sequence of this length, or no document or chunk.
        """
        # Raw bits, because numpy promises their stability across versions, but not that of its distributions.
        words_B = np.random.Philox(key=[seed, step]).random_raw(batch)
        if windows == "documents":
            found = self._some_documents("train", needed=1)
            return found.windows((words_B % np.uint64(len(found))).astype(np.int64), context=context)
        if windows == "chunks":
            cut = self._some_chunks("train", context=context, needed=1)
            return cut.windows((words_B % np.uint64(len(cut))).astype(np.int64))
        ids = self.splits["train"]
        self._need("train", size=context + 1, remedy="lower model.context")
        return _windows(ids, starts_N=words_B % np.uint64(len(ids) - context), context=context)

    def fixed_windows(
        self, split: str, *, tokens: int, context: int, windows: str = "crops"
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Evenly spaced windows of a split that do not overlap: the same at every call.

        Args:
            split: 'validation', 'test' or 'train'.
            tokens: how many tokens the windows have in all, a multiple of `context`; padding counts, and so does the
                last token of a chunk, which has no target.
            context: T, the number of tokens of a window.
            windows: of what they are windows, as in `training_batch`.

        Returns:
            inputs_NT and targets_NT (int64) with N = tokens / context, the targets one token further on, or `PADDING`.

        Raises:
            NervelabError: the split is too short, or has too few documents or chunks, or `tokens` is no multiple of
                `context`.
        """
        if tokens % context:
            raise NervelabError(
                f"{tokens} tokens are no whole number of sequences of {context}: mend it in config/bases.yaml."
            )
        count = tokens // context
        if windows == "documents":
            found = self._some_documents(split, needed=count)
            return found.windows(np.arange(count) * (len(found) // count), context=context)
        if windows == "chunks":
            cut = self._some_chunks(split, context=context, needed=count)
            return cut.windows(np.arange(count) * (len(cut) // count))
        self._need(split, size=tokens + 1, remedy="ask for fewer tokens")
        ids = self.splits[split]
        spacing = (len(ids) - 1) // count
        return _windows(ids, starts_N=np.arange(count) * spacing, context=context)

    def _some_documents(self, split: str, *, needed: int) -> Documents:
        if split not in self._documents:
            self._documents[split] = Documents.find(self.splits[split], end_token=self.end_token)
        found = self._documents[split]
        if len(found) < needed:
            raise self._too_few(split, f"{len(found)} documents", needed=needed)
        return found

    def _some_chunks(self, split: str, *, context: int, needed: int) -> Chunks:
        if (split, context) not in self._chunks:
            documents = self._some_documents(split, needed=0)
            self._chunks[split, context] = Chunks.of(documents, context=context)
        cut = self._chunks[split, context]
        if len(cut) < needed:
            raise self._too_few(split, f"{len(cut)} whole chunks of {context} tokens", needed=needed)
        return cut

    def _too_few(self, split: str, what: str, *, needed: int) -> NervelabError:
        return NervelabError(
            f"The {split} split of {self.folder} has {what} where {needed} are needed: "
            "raise megabytes of the data set in config/data.yaml, or ask for fewer tokens in config/bases.yaml."
        )

    def _need(self, split: str, *, size: int, remedy: str) -> None:
        available = len(self.splits[split])
        if available < size:
            raise NervelabError(
                f"The {split} split of {self.folder} has {available} tokens where {size} are needed: "
                f"raise megabytes of the data set in config/data.yaml, or {remedy} in config/bases.yaml."
            )


def _windows(ids: np.ndarray, *, starts_N: np.ndarray, context: int) -> tuple[torch.Tensor, torch.Tensor]:
    positions_NW = starts_N.astype(np.int64)[:, None] + np.arange(context + 1)
    ids_NW = torch.from_numpy(ids[positions_NW].astype(np.int64))
    return ids_NW[:, :-1].contiguous(), ids_NW[:, 1:].contiguous()


def _mapped(path: Path, *, tokens: int, dtype: np.dtype) -> np.ndarray:
    if not path.is_file():
        raise missing(path, folders.remedy(path.parent))
    size, expected = path.stat().st_size, tokens * dtype.itemsize
    if size != expected:
        raise damaged(path, f"{size} bytes instead of {expected}", folders.remedy(path.parent))
    # An empty file cannot be mapped.
    return np.memmap(path, dtype, mode="r") if tokens else np.zeros(0, dtype)
