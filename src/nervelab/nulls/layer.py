"""One FFN of a network with the inputs that it was given, and what it makes of these or of others."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nervelab.probefiles import COLUMNS, SPECTRAL_COLUMNS
from nervelab.probes.positions import Labels, Positions
from nervelab.probes.sites import FFNSite
from nervelab.probes.tap import evaluating, tapped
from nervelab.spectra.covariance import compressed, direct, projected
from nervelab.spectra.derived import first_share, mean_fourth_power, unbiased_participation_ratio
from nervelab.spectra.exact import exact_spectrum
from nervelab.spectra.metrics import paired_metrics
from nervelab.spectra.moments import Moments, NonFiniteError

ROWS = 4096  # that an FFN is given at once


@dataclass(frozen=True, eq=False)
class Layer:
    """One FFN and the inputs of its measured tokens.

    Attributes:
        ffn: the module, with its nonlinearity under the name `activation`.
        site: where it is measured, as the trainer measures it.
        inputs_Nd: float32, on the device of the FFN.
    """

    ffn: nn.Module
    site: FFNSite
    inputs_Nd: Tensor

    def factor(self) -> np.ndarray:
        """R [min(D', d), d], float64, with R^T R = W^T W, of all maps that lead into the FFN, D' outputs in all."""
        entries = [each for each in self.ffn.children() if isinstance(each, nn.Linear) and each is not self.site.down]
        with evaluating(self.ffn):
            weight_Dd = torch.cat([each.weight.detach() for each in entries])
        return compressed(weight_Dd).cpu().numpy()

    def measured(self, inputs_Nd: Tensor | None = None) -> dict[str, float]:
        """`COLUMNS` of what the FFN makes of its own inputs, or of others; NaN for all if that is not finite.

        Raises:
            NervelabError: fewer than 2 inputs.
            ValueError: fewer than 4.
        """
        inputs_Nd = self.inputs_Nd if inputs_Nd is None else inputs_Nd
        try:
            return self._measured(inputs_Nd)
        except NonFiniteError:
            return dict.fromkeys(COLUMNS, float("nan"))

    def _measured(self, inputs_Nd: Tensor) -> dict[str, float]:
        of_input, of_post, post = Moments(), Moments(), Kept()
        squares, active = _Sum(lambda x_ND: x_ND.double().square().sum()), _Sum(lambda x_ND: (x_ND > 0).sum())
        # The post-activation twice: its moments are streamed, and the fourth powers need its mean first.
        taps = [(self.site.pre, of_input), (self.site.down, of_post), (self.site.down, post)]
        outputs = [(self.site.pre, squares), (self.ffn.activation, active)]
        with evaluating(self.ffn), tapped(taps, outputs):
            for rows_Nd in inputs_Nd.split(ROWS):
                self.ffn(rows_Nd[None])
            weight_Dd = self.site.weight()
            factor_kd, width = compressed(weight_Dd), len(weight_Dd)
        pre = exact_spectrum(projected(of_input, factor_kd, width=width))
        after = exact_spectrum(direct(of_post))
        # R x has the distances of W x.
        fourths = mean_fourth_power((inputs_Nd.double() @ factor_kd.T).cpu().numpy()), mean_fourth_power(post.numpy())
        metrics = paired_metrics(pre, after)
        found = {name: metrics[name] for name in SPECTRAL_COLUMNS}
        for when, spectrum, fourth in (("pre", pre, fourths[0]), ("post", after, fourths[1])):
            found[f"unbiased_pr_{when}"] = unbiased_participation_ratio(
                spectrum.eigenvalues, n_tokens=spectrum.n_tokens, fourth=fourth
            )
            found[f"first_share_{when}"] = first_share(spectrum.eigenvalues)
        found["active_share"] = active.total / active.count
        found["pre_activation_scale"] = (squares.total / squares.count) ** 0.5
        return {name: found[name] for name in COLUMNS}


class Kept:
    """An observer that keeps the rows that it sees, those of `part` alone if that is given."""

    def __init__(self, part: Callable[[Tensor], Iterable[Tensor]] = lambda x_ND: (x_ND,)) -> None:
        self.rows: list[Tensor] = []
        self._part = part

    def update(self, x_ND: Tensor) -> None:
        """Take the rows of a chunk; they are copied."""
        self.rows.extend(each.clone() for each in self._part(x_ND))

    def together(self) -> Tensor:
        """All rows [N, D], in the order in which they came."""
        return torch.cat(self.rows)

    def numpy(self) -> np.ndarray:
        """The same on the CPU."""
        return self.together().cpu().numpy()


class _Sum:
    """An observer that sums a number of each chunk, and counts its entries."""

    def __init__(self, of: Callable[[Tensor], Tensor]) -> None:
        self._of = of
        self.total, self.count = 0.0, 0

    def update(self, x_ND: Tensor) -> None:
        self.total += self._of(x_ND).item()
        self.count += x_ND.numel()


def layers(
    model: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    sites: Iterable[FFNSite],
    positions: Positions | None,
    device: torch.device,
) -> list[Layer]:
    """The FFNs of a model with the inputs that the measured tokens of some batches give them, by one forward.

    Args:
        model: on `device`; run in eval mode and float32, as the trainer measures by default.
        batches: inputs and targets, on the CPU.
        sites: the FFNs, named as in the model.
        positions: which tokens are measured; None for all.
        device: of the model.
    """
    labels, sites = Labels(positions), list(sites)
    kept = [Kept(_measured_of(labels, site.name)) for site in sites]
    with evaluating(model), tapped(zip((site.pre for site in sites), kept, strict=True)):
        for batch in batches:
            here: Any = tuple(part.to(device) for part in batch)
            labels.read(here)
            model(here[0])
    return [
        Layer(model.get_submodule(site.name), site, each.together()) for site, each in zip(sites, kept, strict=True)
    ]


def _measured_of(labels: Labels, site: str) -> Callable[[Tensor], Iterable[Tensor]]:
    return lambda x_ND: labels.together(site, x_ND)
