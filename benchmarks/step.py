"""A whole logging step of a GPT-2: time and peak memory, each path in a process of its own.

The increment of a path is its peak less that of the same forward without measuring. The model has random weights and no
output head, whose logits would hide what is measured.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import torch

PATHS = {"forward alone": None, "reference": None, "exact": "full", "post by bkq-16x24": "auto"}
SEQUENCES, CONTEXT, CHUNK = 128, 128, 32


def rows(layers: int) -> Iterator[dict[str, Any]]:
    """A row of the table for each path; seconds are those of measuring, or of the forward alone."""
    found = {}
    for name in PATHS:
        answer = subprocess.run(
            [sys.executable, "-m", "benchmarks.step", name, str(layers)],
            check=True,
            capture_output=True,
            encoding="utf-8",
        )
        found[name] = json.loads(answer.stdout.splitlines()[-1])
        before = found["forward alone"]["megabytes"] if name != "forward alone" else 0
        yield {
            "benchmark": "logging step",
            "case": f"GPT-2, {layers} layers, {SEQUENCES * CONTEXT} tokens",
            "path": name,
            "seconds": found[name]["seconds"],
            "times_reference": found["reference"]["seconds"] / found[name]["seconds"] if "reference" in found else None,
            "megabytes": found[name]["megabytes"] - before,
        }


def run(path: str, layers: int) -> dict[str, float]:
    """One forward by one path, in this process."""
    from transformers import GPT2Config, GPT2Model  # heavy, and needed by the child alone

    from benchmarks.reference import Keeping
    from nervelab.probes.measure import measure
    from nervelab.probes.sites import find_ffns

    torch.manual_seed(0)
    model = GPT2Model(GPT2Config(n_layer=layers, use_cache=False)).eval()
    batches = torch.randint(50257, (SEQUENCES, CONTEXT)).split(CHUNK)
    with torch.no_grad():
        model(batches[0][:1])
        start = time.perf_counter()
        if PATHS[path] is not None:
            layers_found = measure(model, batches, estimators=[PATHS[path]])
            seconds = sum(each.moments_seconds + each.solve_seconds for each in layers_found)
        else:
            keeping = Keeping(find_ffns(model)) if path == "reference" else None
            for batch in batches:
                model(batch)
            if keeping is not None:
                start = time.perf_counter()
                keeping.spectra()
            seconds = time.perf_counter() - start
    return {"seconds": seconds, "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.stdout.write(json.dumps(run(sys.argv[1], int(sys.argv[2]))) + "\n")
