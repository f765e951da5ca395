"""One measurement of a model: the pre- and post-activation spectra of each of its FFNs."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from nervelab.errors import NervelabError
from nervelab.probes.gather import Gathered
from nervelab.probes.sites import FFNSite, find_ffns
from nervelab.probes.stopwatch import Stopwatch
from nervelab.probes.tap import evaluating, tapped
from nervelab.spectra.covariance import compressed
from nervelab.spectra.estimators import estimate
from nervelab.spectra.metrics import paired_metrics
from nervelab.spectra.names import Estimator, parse
from nervelab.spectra.sampling import sampled_spectra
from nervelab.spectra.spectrum import Spectrum


@dataclass(frozen=True, eq=False)
class LayerSpectra:
    """The two spectra of one FFN by one estimator, over the same tokens.

    Attributes:
        layer: counts the FFNs from 0.
        name: of the FFN in its model.
        pre, post: the spectra.
        estimator: its name; that of the one it chose for the post-activation if `auto` was asked for.
        stated: metrics that the estimator states in place of those of its spectra (extrapolated ones).
        moments_seconds: gathering the moments and forming the covariances, as if no other estimator shared them.
        solve_seconds: the estimator itself.
    """

    layer: int
    name: str
    pre: Spectrum
    post: Spectrum
    estimator: str = "full"
    stated: Mapping[str, float] = field(default_factory=dict)
    moments_seconds: float = 0.0
    solve_seconds: float = 0.0

    def metrics(self) -> dict[str, float | int]:
        """All metrics of the FFN, under their column names in spectra.parquet."""
        return paired_metrics(self.pre, self.post, self.stated)


def measure(
    model: nn.Module,
    batches: Iterable[Any],
    sites: Sequence[FFNSite] | None = None,
    estimators: Sequence[str] = ("full",),
    *,
    double: bool = False,
) -> list[LayerSpectra]:
    """Run `model(batch)` on every micro-batch and return the spectra of its FFNs (NerVE, section 2).

    The forward is separate from training: eval mode, no gradients, no autocast (the spectra are those of the
    float32 network, whatever precision it trains in), the mode of every submodule restored. What is measured
    is the input of the FFN, from which the spectrum of the pre-activation follows, and the input of its down
    projection; both are streamed, so memory grows with the squares of the widths and not with the tokens.

    Args:
        model: called once a batch; uncompiled, as compiled code does not run hooks that are added later.
        batches: whatever the model takes, on its device.
        sites: the FFNs to measure; by default all that `find_ffns` finds.
        estimators: their names (see `nervelab.spectra.names`), all fed from the same forward and the same activations.
        double: float64 products and solves at every width, in place of float32 above 512.

    Returns:
        Layer by layer, in each the estimators in the order asked for.

    Activations that are all zero, or constant, have zero spectra and NaN for metrics. An eigensolver that fails is
    replaced by another, which the spectrum names.

    Raises:
        NervelabError: no FFN was found, one of them saw fewer than two tokens (or a sample drew fewer), or no estimator
            has one of the names.
        NonFiniteError: activations or weights are not finite.
    """
    wanted = [parse(name) for name in dict.fromkeys(estimators)]
    sites = find_ffns(model) if sites is None else sites
    with evaluating(model):
        gathered = [Gathered(wanted, double=double) for _ in sites]
        with tapped(tap for site, each in zip(sites, gathered, strict=True) for tap in each.taps(site)):
            for batch in batches:
                model(batch)
        layers: list[LayerSpectra] = []
        for layer, site in enumerate(sites):
            # Out of the list, so that a layer's moments are gone before the next is solved.
            layers.extend(_solved(layer, site, gathered.pop(0), wanted))
    return layers


def _solved(layer: int, site: FFNSite, gathered: Gathered, wanted: Sequence[Estimator]) -> Iterator[LayerSpectra]:
    before, after = gathered.tokens
    if not before or before != after:
        raise NervelabError(
            f"FFN '{site.name}' saw {before} tokens before and {after} after its nonlinearity: "
            "measure an uncompiled model, and pass as sites only the FFNs that it calls."
        )
    weight_Dd = site.weight()
    width, device = len(weight_Dd), weight_Dd.device
    reducing, forming = Stopwatch(), Stopwatch()
    with reducing.running(device):
        factor_kd = compressed(weight_Dd)
    covariances = None
    for estimator in wanted:
        solving, own_forming = Stopwatch(), Stopwatch()
        if estimator.kind == "sampling":
            with own_forming.running(device):
                samples = gathered.samples(estimator, factor_kd, width)
            with solving.running(device):
                pre, post, stated = sampled_spectra(estimator, *samples)
        else:
            if covariances is None:
                with forming.running(device):
                    covariances = gathered.covariances(factor_kd, width)
            own_forming = forming
            with solving.running(device):
                pre, post = (estimate(estimator, each) for each in covariances)
            stated = {}
        yield LayerSpectra(
            layer,
            site.name,
            pre=pre,
            post=post,
            estimator=post.estimator,
            stated=stated,
            moments_seconds=gathered.seconds(estimator) + reducing.seconds + own_forming.seconds,
            solve_seconds=solving.seconds,
        )
