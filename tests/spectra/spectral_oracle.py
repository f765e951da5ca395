"""Adversarial activations, and what float64 numpy makes of them by the definitions of the paper."""

import numpy as np
import torch
from scipy.special import rel_entr
from scipy.stats import entropy

KINDS = ("random", "power-law", "exponential", "rank-deficient", "large-mean", "large-mean-low-rank", "dead-units")


def activations(kind: str, *, n: int, width: int, seed: int = 0) -> torch.Tensor:
    """Float32 activations [n, width] of a kind."""
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((n, width))
    rotation = np.linalg.qr(rng.standard_normal((width, width)))[0]
    ranks = np.arange(1, width + 1)
    rank = min(8, width)
    low_rank = z[:, :rank] @ rng.standard_normal((rank, width))
    x = {
        "random": lambda: z,
        "power-law": lambda: (z / ranks) @ rotation,
        "exponential": lambda: (z * np.exp(-ranks / 8)) @ rotation,
        "rank-deficient": lambda: low_rank,
        "large-mean": lambda: z + 1000 * rng.standard_normal(width),
        "large-mean-low-rank": lambda: low_rank + 3000,
        "dead-units": lambda: np.maximum(z * (ranks % 3 > 0), 0),
    }[kind]()
    return torch.from_numpy(x.astype(np.float32))


def eigenvalues(x: torch.Tensor | np.ndarray) -> np.ndarray:
    """Eigenvalues of numpy's float64 covariance, descending."""
    return np.linalg.eigvalsh(np.cov(np.asarray(x, dtype=np.float64), rowvar=False))[::-1].clip(0)


def metrics(values: np.ndarray) -> np.ndarray:
    """SE by scipy; PR and EEE by their definitions."""
    p = values / values.sum()
    width = len(p)
    curve = np.cumsum(p)
    eee = 2 / width * sum(curve[k - 1] - k / width for k in range(1, width + 1))
    return np.array([entropy(p), values.sum() ** 2 / (values**2).sum(), eee])


def js(first: np.ndarray, second: np.ndarray) -> float:
    """The Jensen-Shannon divergence by scipy's relative entropies."""
    p, q = first / first.sum(), second / second.sum()
    return (rel_entr(p, (p + q) / 2) + rel_entr(q, (p + q) / 2)).sum() / 2
