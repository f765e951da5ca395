"""What a run pays outside of training: a run of one step, against the imports that it cannot do without."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.sizes import interleaved
from nervelab.data.folders import write_manifest
from nervelab.datafiles import SPLITS
from nervelab.files import write_json
from nervelab.study.components import components
from nervelab.study.runs import load_project

IMPORTS = "import torch, pyarrow.parquet"
TOKENS, VOCABULARY = 1000, 512
ID = "benchmark"


def rows(rounds: int) -> Iterator[dict[str, Any]]:
    """A row for the imports, and one for the whole process of a run of one step; they take turns."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tokens(folder / "tokens")
        plan(folder / "plan.json")
        paths = {
            IMPORTS: partial(subprocess.run, [sys.executable, "-c", IMPORTS], check=True),
            "a run of one step": partial(train, folder),
        }
        interleaved(paths, rounds=1)  # what is compiled and read once is there afterwards
        seconds, _ = interleaved(paths, rounds)
    for name, taken in seconds.items():
        yield {
            "benchmark": "start of the trainer",
            "case": "2 measurements of 128 tokens",
            "path": name,
            "seconds": float(np.median(taken)),
            "times_reference": float(np.median(np.array(seconds[IMPORTS]) / taken)),
        }


def tokens(folder: Path) -> None:
    """A folder of one document in every split, whose tokens are all alike."""
    folder.mkdir()
    document = np.append(np.zeros(TOKENS - 1, "<u2"), np.uint16(1))
    for split in SPLITS:
        document.tofile(folder / f"{split}.bin")
    about = {"id": ID, "dtype": "uint16", "vocabulary": VOCABULARY, "end_token": 1, "unigram_loss": 0.0}
    write_manifest(folder, about | {"tokens": dict.fromkeys(SPLITS, TOKENS)}, [f"{split}.bin" for split in SPLITS])


def plan(path: Path) -> None:
    """The plan of the baseline at the smoke scale, but for its length."""
    config = load_project(scale="smoke", only="activation").runs[0].config
    content = config.model_dump(mode="json")
    content["training"] |= {"steps": 1, "eval_tokens": 128}
    content["measure"] |= {"tokens": 128, "points": 1, "early": [0]}
    known: dict[str, Any] = dict.fromkeys(("name", "id", "slug", "fingerprint"), ID)
    known |= {"config": content, "inputs": {"tokens": ID}, "components": components(config)}
    write_json(path, known)


def train(folder: Path) -> None:
    """Train the run, anew, in a process of its own."""
    (folder / "run" / "run.json").unlink(missing_ok=True)
    places = {"plan": "plan.json", "data": "tokens", "out": "run", "checkpoints": "checkpoints"}
    words = [word for key, name in places.items() for word in (f"--{key}", str(folder / name))]
    subprocess.run([sys.executable, "-m", "nervelab.training", *words], check=True, capture_output=True)
