"""A folder of tokens, made without a corpus or a tokenizer."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nervelab.files import sha256, write_json

VOCABULARY = 512


def write_tokens(folder: Path) -> Path:
    """Tokens of a Markov chain: something to learn, far below its unigram loss."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    successors = random.integers(VOCABULARY, size=(VOCABULARY, 2))
    counts = {}
    for split, size in (("train", 40_000), ("validation", 20_000), ("test", 500)):
        ids = np.zeros(size, np.uint16)
        choices = random.integers(2, size=size)
        for position in range(1, size):
            ids[position] = successors[ids[position - 1], choices[position]]
        ids.astype("<u2").tofile(folder / f"{split}.bin")
        counts[split] = size
    write_json(folder / "tokenizer.json", {})
    files = [*(f"{split}.bin" for split in counts), "tokenizer.json"]
    manifest = {
        "id": "0123456789",
        "dtype": "uint16",
        "vocabulary": VOCABULARY,
        "tokens": counts,
        "end_token": 0,
        "unigram_loss": 5.9,
        "files": {name: sha256(folder / name) for name in files},
    }
    write_json(folder / "manifest.json", manifest)
    return folder
