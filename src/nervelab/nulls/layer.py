"""One FFN of a network with the inputs that it was given, and what it makes of these or of others."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from nervelab.nulls.draws import Nulls
from nervelab.probefiles import COLUMNS, SPECTRAL_COLUMNS
from nervelab.probes.positions import Labels, Positions
from nervelab.probes.sites import FFNSite
from nervelab.probes.tap import evaluating, tapped
from nervelab.spectra.covariance import Covariance, compressed, projected
from nervelab.spectra.derived import first_share, mean_fourth_power, unbiased_participation_ratio
from nervelab.spectra.exact import exact_spectrum
from nervelab.spectra.metrics import paired_metrics
from nervelab.spectra.moments import ROWS, Moments, NonFiniteError
from nervelab.spectra.products import SymmetricSum


class Layer:
    """One FFN and the inputs of its measured tokens.

    Args:
        ffn: the module, with its nonlinearity under the name `activation` and its down projection under `down`.
        site: where it is measured, as the trainer measures it.
        inputs_Nd: at least 4, float32, on the device of the FFN, which is in eval mode from here on.
    """

    def __init__(self, ffn: nn.Module, site: FFNSite, inputs_Nd: Tensor) -> None:
        self.ffn, self.inputs_Nd = ffn.eval(), inputs_Nd
        weight_Dd, bias_D = site.weight().double(), site.pre.bias
        self._weight_Dd = weight_Dd
        self._bias_D = weight_Dd.new_zeros(len(weight_Dd)) if bias_D is None else bias_D.detach().double()
        self._factor_kd = compressed(weight_Dd)
        entries = [each for each in ffn.children() if isinstance(each, nn.Linear) and each is not site.down]
        self._entries_Dd = torch.cat([each.weight.detach() for each in entries])
        # The same FFN as far as its post-activation, which it returns.
        self._upper = copy.copy(ffn)
        self._upper.__dict__["_modules"] = {**ffn._modules, "down": nn.Identity()}

    @cached_property
    def nulls(self) -> Nulls:
        """Of its inputs, for all maps that lead into the FFN jointly."""
        return Nulls(self.inputs_Nd.cpu().numpy(), compressed(self._entries_Dd).cpu().numpy())

    def measured(self, inputs_Nd: Tensor | None = None) -> dict[str, float]:
        """`COLUMNS` of what the FFN makes of its own inputs, or of others; NaN for all if that is not finite.

        Raises:
            ValueError: fewer than 4 inputs.
        """
        try:
            return self._measured(self.inputs_Nd if inputs_Nd is None else inputs_Nd)
        except NonFiniteError:
            return dict.fromkeys(COLUMNS, float("nan"))

    @torch.no_grad()
    def _measured(self, inputs_Nd: Tensor) -> dict[str, float]:
        of_input, active, parts = Moments(), _Active(), []
        with tapped((), [(self.ffn.activation, active)]):
            for rows_Nd in inputs_Nd.split(ROWS):
                of_input.update(rows_Nd)
                parts.append(self._upper(rows_Nd[None])[0])
        mean_d = inputs_Nd.double().mean(0)
        of_pre = projected(of_input, self._factor_kd, width=len(self._weight_Dd))
        of_post, distances_N = _covariance(parts)
        pre, post = exact_spectrum(of_pre), exact_spectrum(of_post)
        metrics = paired_metrics(pre, post)
        found = {name: metrics[name] for name in SPECTRAL_COLUMNS}
        # R x has the distances of W x.
        before_N = torch.linalg.vector_norm((inputs_Nd.double() - mean_d) @ self._factor_kd.T, dim=1)
        for when, spectrum, each_N in (("pre", pre, before_N), ("post", post, distances_N)):
            fourth = mean_fourth_power(each_N.cpu().numpy())
            found[f"unbiased_pr_{when}"] = unbiased_participation_ratio(
                spectrum.eigenvalues, n_tokens=spectrum.n_tokens, fourth=fourth
            )
            found[f"first_share_{when}"] = first_share(spectrum.eigenvalues)
        found["active_share"] = active.share
        mean_D = self._weight_Dd @ mean_d + self._bias_D
        square = of_pre.trace * (1 - 1 / of_pre.n_tokens) + mean_D.square().sum().item()
        found["pre_activation_scale"] = (square / of_pre.width) ** 0.5
        return {name: found[name] for name in COLUMNS}


def _covariance(parts: list[Tensor]) -> tuple[Covariance, Tensor]:
    """The covariance of all rows of the parts, float32, and the distance of each row from their mean.

    Rows are centred first, so that products of float32, summed in float64, leave 1e-8 of the largest eigenvalue in
    place of zeros, at every width: see `nervelab.spectra.moments.Moments`.

    Raises:
        NonFiniteError: a row is not finite.
    """
    number, width = sum(map(len, parts)), parts[0].shape[1]
    mean_D = (sum(rows_ND.sum(0, dtype=torch.float64) for rows_ND in parts) / number).float()
    total, distances = SymmetricSum(width, mean_D.device), []
    for rows_ND in parts:
        rows_ND -= mean_D
        total.add_gram(rows_ND)
        distances.append(torch.linalg.vector_norm(rows_ND, dim=1))
    matrix_DD = total.dense(1 / (number - 1))
    trace = matrix_DD.trace().item()
    if not torch.isfinite(matrix_DD.diagonal()).all():
        raise NonFiniteError(f"activations of width {width} are not finite, or too large to square")
    unit_DD = matrix_DD / trace if trace else matrix_DD
    return Covariance(unit_DD, trace=trace, width=width, n_tokens=number), torch.cat(distances)


class _Active:
    """An observer that counts what is above 0."""

    def __init__(self) -> None:
        self._count = self._all = 0

    @property
    def share(self) -> float:
        """Of all entries that it saw."""
        return self._count / self._all

    def update(self, x_ND: Tensor) -> None:
        """Count in the rows of a chunk."""
        self._count += int((x_ND > 0).sum())
        self._all += x_ND.numel()


class _Kept:
    """An observer that keeps the rows that are measured."""

    def __init__(self, labels: Labels, site: str) -> None:
        self._labels, self._site, self._rows = labels, site, []

    def update(self, x_ND: Tensor) -> None:
        """Copy those of a chunk."""
        self._rows.extend(each.clone() for each in self._labels.together(self._site, x_ND))

    def together(self) -> Tensor:
        """All of them [N, D], in the order in which they came."""
        return torch.cat(self._rows)


def layers(
    model: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    sites: Iterable[FFNSite],
    positions: Positions | None,
    device: torch.device,
) -> list[Layer]:
    """The FFNs of a model with the inputs that the measured tokens of some batches give them, by one forward.

    Args:
        model: on `device`; run in eval mode and float32, as the trainer measures by default. It stays in eval mode.
        batches: inputs and targets, on the CPU.
        sites: the FFNs, named as in the model.
        positions: which tokens are measured; None for all.
        device: of the model.
    """
    labels, sites = Labels(positions), list(sites)
    kept = [_Kept(labels, site.name) for site in sites]
    with evaluating(model), tapped(zip((site.pre for site in sites), kept, strict=True)):
        for batch in batches:
            here: Any = tuple(part.to(device) for part in batch)
            labels.read(here)
            model(here[0])
    model.eval()  # in which a weight under a spectral norm is read without a step of its power iteration
    found = zip(sites, kept, strict=True)
    return [Layer(model.get_submodule(site.name), site, each.together()) for site, each in found]
