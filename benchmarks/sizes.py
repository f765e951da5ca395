"""The engine against the reference path by width and number of tokens; the error and the time of BKQ beside it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.reference import reference_spectrum
from nervelab.spectra.covariance import compressed, direct, projected
from nervelab.spectra.estimators import estimate
from nervelab.spectra.metrics import paired_metrics
from nervelab.spectra.moments import Moments
from nervelab.spectra.names import parse
from nervelab.spectra.products import SymmetricSum
from nervelab.spectra.spectrum import Spectrum

SIZES = [(width, tokens) for width in (768, 1536, 3072, 4096, 6144) for tokens in (4096, 16384)]
QUICK = [(768, 4096), (1536, 4096)]
CHUNK = 4096
EXACT, QUADRATURE = parse("full"), parse("bkq-16x24")


def ffn(width: int, tokens: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Input [N, D/4] of a power-law spectrum, weight, pre- and post-activation (GELU) of one FFN."""
    generator = torch.Generator().manual_seed(0)
    inputs = width // 4
    x_Nd = torch.randn(tokens, inputs, generator=generator) * torch.arange(1, inputs + 1) ** -0.3
    weight_Dd = torch.randn(width, inputs, generator=generator) / inputs**0.5
    pre_ND = x_Nd @ weight_Dd.T
    return x_Nd, weight_Dd, pre_ND, torch.nn.functional.gelu(pre_ND)


def engine(
    x_Nd: Tensor, weight_Dd: Tensor, post_ND: Tensor, *, post_by=EXACT, kernels=True
) -> tuple[Spectrum, Spectrum]:
    """Both spectra as the engine takes them, micro-batch by micro-batch, the pre-activation exact."""
    SymmetricSum.kernels = kernels
    try:
        moments = Moments(), Moments()
        for each, activations in zip(moments, (x_Nd, post_ND), strict=True):
            for rows in activations.split(CHUNK):
                each.update(rows)
        pre = projected(moments[0], compressed(weight_Dd), width=len(weight_Dd))
        return estimate(EXACT, pre), estimate(post_by, direct(moments[1]))
    finally:
        SymmetricSum.kernels = True


def interleaved(paths: dict[str, Callable[[], Any]], rounds: int) -> tuple[dict[str, list[float]], dict[str, Any]]:
    """Seconds of each path in each round, and what it gave; the paths take turns, so that all see the same machine."""
    seconds: dict[str, list[float]] = {name: [] for name in paths}
    given = {}
    for _ in range(rounds):
        for name, path in paths.items():
            start = time.perf_counter()
            given[name] = path()
            seconds[name].append(time.perf_counter() - start)
    return seconds, given


def gemm_rate(size: int = 2048) -> float:
    """Floating-point operations a second of a float32 product, the best of five."""
    a, b = torch.randn(2, size, size)
    seconds, _ = interleaved({"gemm": lambda: a @ b}, rounds=5)
    return 2 * size**3 / min(seconds["gemm"])


def rows(sizes: list[tuple[int, int]], rounds: int) -> Iterator[dict[str, Any]]:
    """A row of the table for each size and path."""
    for width, tokens in sizes:
        x_Nd, weight_Dd, pre_ND, post_ND = ffn(width, tokens)
        measured = partial(engine, x_Nd, weight_Dd, post_ND)
        paths = {
            "reference": lambda pre=pre_ND, post=post_ND: (reference_spectrum(pre), reference_spectrum(post)),
            "exact, torch alone": partial(measured, kernels=False),
            "exact": measured,
            "post by bkq-16x24": partial(measured, post_by=QUADRATURE),
        }
        rate = gemm_rate()
        seconds, given = interleaved(paths, rounds)
        floor = (tokens * width**2 + 4 / 3 * width**3) / rate
        exact = paired_metrics(*given["exact"])
        for name, taken in seconds.items():
            ratios = np.array(seconds["reference"]) / taken
            found = _metrics(given[name], tokens)
            yield {
                "benchmark": "sizes",
                "case": f"D {width}, N {tokens}",
                "path": name,
                "seconds": min(taken),
                "times_reference": float(np.median(ratios)),
                "floor_share": floor / min(taken) if name.startswith("exact") else None,
                "error": max(abs(found[each] / exact[each] - 1) for each in ("se_post", "pr_post", "eee_post")),
                "js_error": abs(found["js"] / exact["js"] - 1),
            }


def _metrics(given: tuple, tokens: int) -> dict[str, float]:
    if isinstance(given[0], Spectrum):
        return paired_metrics(*given)
    values = (each.double().flip(0).clamp(min=0).numpy() for each in given)
    return paired_metrics(*(Spectrum(each, n_tokens=tokens, solver="reference") for each in values))
