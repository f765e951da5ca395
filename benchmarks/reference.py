"""The published algorithm as its authors run it, the baseline of every ratio: activations are kept, a centred copy is

multiplied in full, and `eigvalsh` solves D x D for both sites.
"""

import torch
from torch import Tensor, nn

from nervelab.probes.sites import FFNSite


def reference_spectrum(x_ND: Tensor) -> Tensor:
    """Eigenvalues [D] of the covariance of kept activations, ascending, in their precision."""
    centred_ND = x_ND - x_ND.mean(0, keepdim=True)
    return torch.linalg.eigvalsh(centred_ND.T @ centred_ND / (len(x_ND) - 1))


class Keeping:
    """Keeps the output of the first projection and the input of the last of every FFN, over all micro-batches."""

    def __init__(self, sites: list[FFNSite]) -> None:
        self.pre: list[list[Tensor]] = [[] for _ in sites]
        self.post: list[list[Tensor]] = [[] for _ in sites]
        self._handles = []
        for site, pre, post in zip(sites, self.pre, self.post, strict=True):
            self._handles.append(site.pre.register_forward_hook(_keep_output(pre)))
            self._handles.append(site.down.register_forward_pre_hook(_keep_input(post)))

    def spectra(self) -> list[tuple[Tensor, Tensor]]:
        """Both spectra of every FFN, one layer at a time."""
        for handle in self._handles:
            handle.remove()
        return [
            tuple(reference_spectrum(torch.cat(kept)) for kept in both)
            for both in zip(self.pre, self.post, strict=True)
        ]


def _keep_output(into: list[Tensor]):
    def hook(_module: nn.Module, _args: tuple, output: Tensor) -> None:
        into.append(output.flatten(0, -2))

    return hook


def _keep_input(into: list[Tensor]):
    def hook(_module: nn.Module, args: tuple) -> None:
        into.append(args[0].flatten(0, -2))

    return hook
