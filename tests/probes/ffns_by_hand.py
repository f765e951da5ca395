"""A small model of FFNs, and their activations kept by hand."""

import numpy as np
import torch
from torch import nn

from nervelab.models.ffn import feed_forward


class Stack(nn.Module):
    """Residual FFNs with dropout, enough of a model to be measured."""

    def __init__(self, activation: str = "gelu", width: int = 24, layers: int = 2) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.ffns = nn.ModuleList(feed_forward(8, width, activation, bias=True) for _ in range(layers))
        self.dropout = nn.Dropout(0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for ffn in self.ffns:
            x = x + self.dropout(ffn(x))
        return x


def batches(count: int = 3) -> list[torch.Tensor]:
    return list(torch.randn(count, 10, 16, 8, generator=torch.Generator().manual_seed(1)))


def numpy_spectrum(rows_ND: np.ndarray) -> np.ndarray:
    return np.linalg.eigvalsh(np.cov(rows_ND, rowvar=False))[::-1]


def kept_by_hand(
    model: nn.Module, inputs: list, taps: list[tuple[nn.Module, nn.Module]]
) -> list[tuple[np.ndarray, np.ndarray]]:
    """All outputs of each `pre` and all inputs of each `down`, as rows."""
    kept = [([], []) for _ in taps]
    handles = []
    for (pre, down), (outputs, into_down) in zip(taps, kept, strict=True):
        handles.append(pre.register_forward_hook(lambda _m, _a, out, to=outputs: to.append(out)))
        handles.append(down.register_forward_hook(lambda _m, args, _o, to=into_down: to.append(args[0])))
    with torch.no_grad():
        for each in inputs:
            model.eval()(each)
    for handle in handles:
        handle.remove()
    return [(_rows(outputs), _rows(into_down)) for outputs, into_down in kept]


def _rows(activations: list[torch.Tensor]) -> np.ndarray:
    return np.concatenate([x.detach().double().numpy().reshape(-1, x.shape[-1]) for x in activations])
