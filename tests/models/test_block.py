"""A whole block against its formulas in float64 numpy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from tests.support.configs import SMALL
from tests.support.models import perturbed, small

Map = Callable[[np.ndarray], np.ndarray]


def rms_normed(x: np.ndarray) -> np.ndarray:
    return x / np.sqrt(np.mean(x**2, axis=-1, keepdims=True) + 1e-6)


def turned(x_HTe: np.ndarray) -> np.ndarray:
    half = x_HTe.shape[-1] // 2
    phases = np.exp(1j * np.outer(np.arange(x_HTe.shape[1]), 10000.0 ** (-np.arange(half) / half)))
    z = (x_HTe[..., :half] + 1j * x_HTe[..., half:]) * phases
    return np.concatenate([z.real, z.imag], axis=-1)


def attention(x_Td: np.ndarray, weights: dict[str, np.ndarray], prepared: Map) -> np.ndarray:
    """Causal attention over `SMALL.heads` heads whose queries and keys are `prepared`."""

    def heads(name: str) -> np.ndarray:
        return (x_Td @ weights[name].T).reshape(len(x_Td), SMALL.heads, -1).swapaxes(0, 1)

    query, key, value = prepared(heads("query")), prepared(heads("key")), heads("value")
    scores = query @ key.swapaxes(1, 2) / np.sqrt(query.shape[-1])
    scores[:, ~np.tri(len(x_Td), dtype=bool)] = -np.inf
    shares = np.exp(scores - scores.max(-1, keepdims=True))
    shares /= shares.sum(-1, keepdims=True)
    return (shares @ value).swapaxes(0, 1).reshape(len(x_Td), -1) @ weights["output"].T


def ffn(x_Td: np.ndarray, weights: dict[str, np.ndarray]) -> np.ndarray:
    return np.maximum(x_Td @ weights["up"].T, 0) ** 2 @ weights["down"].T


@pytest.mark.parametrize(
    ("qk_norm", "positions", "prepared", "tolerance"),
    [
        (False, "none", lambda x: x, 1e-12),
        (True, "none", rms_normed, 1e-12),
        # The table of angles is float32.
        (False, "rope", turned, 1e-5),
        (True, "rope", lambda x: turned(rms_normed(x)), 1e-5),
    ],
)
@pytest.mark.parametrize("placement", ["preln", "postln"])
@pytest.mark.parametrize("norm", ["rmsnorm", "weightless-rmsnorm"])
def test_a_block_of_squared_relu_and_rms_norms(
    norm: str, placement: str, qk_norm: bool, positions: str, prepared: Map, tolerance: float
):
    model = small(
        activation="squared-relu",
        norm=norm,
        placement=placement,
        qk_norm=qk_norm,
        positions=positions,
        biases=(),
        init_std=0.3,
        embedding_std=0.3,
    )
    block = perturbed(model).double().blocks[0]
    weights = {name.split(".")[-2]: each.detach().numpy() for name, each in block.named_parameters()}
    x = torch.randn(1, SMALL.context, SMALL.d_model, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    y = x[0].numpy()
    for branch, inner in enumerate((lambda x: attention(x, weights, prepared), lambda x: ffn(x, weights))):
        gain = block[branch].norm.weight.detach().numpy() if norm == "rmsnorm" else 1.0
        y = y + inner(gain * rms_normed(y)) if placement == "preln" else gain * rms_normed(y + inner(y))
    with torch.no_grad():
        np.testing.assert_allclose(block(x)[0], y, rtol=0, atol=tolerance * np.abs(y).max())
