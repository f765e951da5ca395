"""What a training step pays when no measurement is due: steps before a first measurement, and after it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.sizes import interleaved
from nervelab.models.ffn import feed_forward
from nervelab.probes.measure import measure


def rows(rounds: int) -> Iterator[dict[str, Any]]:
    """A row for a model that was never measured, and one for a model that was; they take turns."""
    x = torch.randn(512, 128)
    never, once = (nn.Sequential(*(feed_forward(128, 512, "gelu", bias=True) for _ in range(4))) for _ in range(2))
    measure(once, [x])

    def step(model: nn.Module) -> None:
        model.zero_grad()
        model(x).square().mean().backward()

    paths = {"never measured": lambda: step(never), "measured before": lambda: step(once)}
    interleaved(paths, rounds=5)
    seconds, _ = interleaved(paths, rounds)
    for name, taken in seconds.items():
        yield {
            "benchmark": "training step, nothing due",
            "case": "4 FFNs, D 512, forward and backward",
            "path": name,
            "seconds": float(np.median(taken)),
        }
