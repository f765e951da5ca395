"""Token sub-sampling: the spectra of a share of the tokens, and what two halves of it tell about all of them.

Metrics of a sample are biased, the participation ratio most: about PR / (1 + PR / n) at n tokens, so an isotropic
activation of width 1024 gives 340 at 512 tokens. Two estimates mend that, both from the two disjoint halves that a
sample is drawn as:

- the unbiased participation ratio, tr(A) tr(B) / tr(A B) of the covariances A and B of the halves, numerator and
  denominator without bias whatever the distribution. It estimates the value at infinitely many tokens;
- Richardson extrapolation: SE, EEE, JS and 1/PR taken as linear in 1/n through the halves and the whole sample,
  and read at all tokens, so it is comparable with the estimator `full`.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from nervelab.spectra.covariance import Covariance
from nervelab.spectra.exact import exact_spectrum
from nervelab.spectra.metrics import paired_metrics, participation_ratio
from nervelab.spectra.moments import Moments, merged
from nervelab.spectra.names import Estimator
from nervelab.spectra.spectrum import Spectrum

EXTRAPOLATED = ("se_pre", "se_post", "eee_pre", "eee_post", "js")
INVERTED = ("pr_pre", "pr_post")


class SampledMoments:
    """Moments of a share of the tokens, in two halves.

    Each token is drawn on its own, by its position among all tokens and the seed: so the chunking does not matter, two
    sites of one seed draw the same tokens (paired), and a sample contains every smaller one of the same seed.

    Args:
        ratio: the share of tokens, in (0, 1).
        double: as for `Moments`.
        seed: of the draw.
    """

    def __init__(self, ratio: float, *, double: bool = False, seed: int = 0) -> None:
        self.ratio = ratio
        self.seen = 0
        self.halves = (Moments(double=double), Moments(double=double))
        self._random = np.random.default_rng(seed)

    @property
    def n(self) -> int:
        """The tokens drawn so far."""
        return sum(half.n for half in self.halves)

    @torch.no_grad()
    def update(self, x_ND: Tensor) -> None:
        """Draw from the rows of a chunk."""
        self.seen += len(x_ND)
        drawn = self._random.random(len(x_ND)) / self.ratio
        for half, (low, high) in zip(self.halves, ((0, 0.5), (0.5, 1)), strict=True):
            rows = np.flatnonzero((low <= drawn) & (drawn < high))
            half.update(x_ND[torch.from_numpy(rows).to(x_ND.device)])

    def whole(self) -> Moments:
        """The moments of both halves together."""
        return merged(self.halves)


@dataclass(frozen=True, eq=False)
class Sample:
    """The covariances that a sample of one site gives.

    Attributes:
        whole: of all its tokens.
        halves: of its two halves, for the variants that compare them; [D, D] each for 'unbiased'.
        seen: the number of tokens that it was drawn from.
    """

    whole: Covariance
    halves: tuple[Covariance, Covariance] | None
    seen: int


def sampled_spectra(estimator: Estimator, pre: Sample, post: Sample) -> tuple[Spectrum, Spectrum, dict[str, float]]:
    """The spectra of a sample, and the metrics that the estimator states in place of those of its spectra.

    The spectra are those of the sampled tokens for every variant, their error is the relative bias of PR.
    """
    found = tuple(_named(exact_spectrum(site.whole), estimator.name) for site in (pre, post))
    if estimator.variant == "unbiased":
        stated = {name: unbiased_participation(*site.halves) for name, site in (("pr_pre", pre), ("pr_post", post))}
    elif estimator.variant == "richardson":
        halves = [paired_metrics(*(exact_spectrum(site.halves[i]) for site in (pre, post))) for i in (0, 1)]
        stated = extrapolated(paired_metrics(*found), halves, n=pre.whole.n_tokens, wanted=pre.seen)
    else:
        stated = {}
    return *found, stated


def unbiased_participation(first: Covariance, second: Covariance) -> float:
    """tr(A) tr(B) / tr(A B) of the covariances of two independent samples; NaN if either is zero."""
    product = (first.unit_kk * second.unit_kk).sum().item()
    return 1 / product if product > 0 else math.nan


def extrapolated(whole: dict[str, float], halves: list[dict[str, float]], *, n: int, wanted: int) -> dict[str, float]:
    """Metrics at `wanted` tokens from those of n tokens and of two halves of them, linear in 1 / tokens."""
    reach = (1 / n - 1 / wanted) * n  # in units of the step from n / 2 to n tokens, 2 / n - 1 / n
    stated = {}
    for name in (*EXTRAPOLATED, *INVERTED):
        fine, coarse = whole[name], [half[name] for half in halves]
        if name in INVERTED:
            fine, coarse = 1 / fine, [1 / each for each in coarse]
        value = fine + (fine - sum(coarse) / 2) * reach
        stated[name] = 1 / value if name in INVERTED else value
    stated["js"] = min(max(stated["js"], 0.0), math.log(2))
    return stated


def _named(spectrum: Spectrum, name: str) -> Spectrum:
    bias = participation_ratio(spectrum.eigenvalues) / spectrum.n_tokens
    return replace(spectrum, estimator=name, error=None if math.isnan(bias) else bias)
