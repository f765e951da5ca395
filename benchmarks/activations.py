"""Every estimator on real activations: a GPT-2-shaped model (d 768, D 3072) trained a few steps on Python source."""

from __future__ import annotations

import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from tokenizers import ByteLevelBPETokenizer
from torch import Tensor, nn

from nervelab.probes.measure import measure

ESTIMATORS = (
    "full", "bkq-16x16", "bkq-16x24", "sampling-0.05", "sampling-0.10", "sampling-0.10-unbiased", "sampling-0.25",
    "sampling-0.25-richardson", "randsvd-1/6", "randsvd-1/6-squared", "randsvd-1/6-tail", "lanczos-1/6",
    "lanczos-1/6-tail",
)  # fmt: skip
VOCABULARY, CONTEXT = 4096, 128


def standard_library() -> Tensor:
    """Tokens of the Python files of the standard library, by a byte-level BPE trained on them."""
    files = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    texts = [path.read_text(encoding="utf-8", errors="ignore") for path in files]
    tokenizer = ByteLevelBPETokenizer()
    tokenizer.train_from_iterator(texts, vocab_size=VOCABULARY, show_progress=False)
    return torch.tensor([token for each in tokenizer.encode_batch(texts) for token in each.ids])


def trained(tokens: Tensor, *, layers: int, steps: int) -> nn.Module:
    """The model after a few steps of AdamW with warm-up."""
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    model = GPT2LMHeadModel(GPT2Config(n_layer=layers, vocab_size=VOCABULARY, n_positions=CONTEXT))
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-4)
    for step in range(steps):
        batch = windows(tokens, 8, seed=step)
        optimiser.param_groups[0]["lr"] = 3e-4 * min(1.0, (step + 1) / 15)
        model(batch, labels=batch).loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
    return model


def windows(tokens: Tensor, count: int, seed: int) -> Tensor:
    """Random windows [count, context]."""
    starts = torch.randint(len(tokens) - CONTEXT, (count,), generator=torch.Generator().manual_seed(seed))
    return torch.stack([tokens[start : start + CONTEXT] for start in starts])


def rows(*, layers: int, steps: int, sequences: int) -> Iterator[dict[str, Any]]:
    """A row for each layer and estimator: its error against `full`, its seconds beside those of the forward."""
    tokens = standard_library()
    model = trained(tokens, layers=layers, steps=steps)
    batches = windows(tokens, sequences, seed=10**6).split(32)
    for found in measure(model, batches, estimators=ESTIMATORS):
        metrics = found.metrics()
        if found.estimator == "full":
            exact, seconds = metrics, found.moments_seconds + found.solve_seconds
        taken = found.moments_seconds + found.solve_seconds
        sites = [f"{name}_{site}" for name in ("se", "pr", "eee") for site in ("pre", "post")]
        yield {
            "benchmark": "real activations",
            "case": f"layer {found.layer}, {sequences * CONTEXT} tokens",
            "path": found.estimator,
            "seconds": taken,
            "times_full": seconds / taken,
            "error": max(abs(metrics[name] / exact[name] - 1) for name in sites),
            "js_error": abs(metrics["js"] / exact["js"] - 1),
        }
