"""One measurement of a model: the pre- and post-activation spectra of each of its FFNs, and of groups of positions."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from torch import Tensor, nn

from nervelab.errors import NervelabError
from nervelab.probes.gather import Gathered
from nervelab.probes.positions import ALL, Labels, Positions
from nervelab.probes.sites import FFNSite, find_ffns
from nervelab.probes.stopwatch import Stopwatch
from nervelab.probes.tap import as_in_training, autocasting, evaluating, tapped
from nervelab.spectra.covariance import compressed
from nervelab.spectra.estimators import estimate
from nervelab.spectra.exact import exact_spectrum
from nervelab.spectra.metrics import paired_metrics
from nervelab.spectra.names import Estimator, parse
from nervelab.spectra.sampling import sampled_spectra
from nervelab.spectra.spectrum import Spectrum

Mode = Literal["eval", "train"]


@dataclass(frozen=True, eq=False)
class LayerSpectra:
    """The two spectra of one FFN by one estimator, over the same tokens.

    Attributes:
        layer: counts the FFNs from 0.
        name: of the FFN in its model.
        pre, post: the spectra.
        group: the group of positions whose tokens these are, measured by `full`; "all" for all that are measured.
        stated: metrics that the estimator states in place of those of its spectra (extrapolated ones).
        moments_seconds: gathering the moments and forming the covariances, as if no other estimator shared them;
            of a group, the latter alone, as the tokens of all groups are gathered at once.
        solve_seconds: the estimator itself.
    """

    layer: int
    name: str
    pre: Spectrum
    post: Spectrum
    group: str = ALL
    stated: Mapping[str, float] = field(default_factory=dict)
    moments_seconds: float = 0.0
    solve_seconds: float = 0.0

    @property
    def estimator(self) -> str:
        """Its name; that of the one it chose for the post-activation if `auto` was asked for."""
        return self.post.estimator

    def metrics(self) -> dict[str, float | int]:
        """All metrics of the FFN, under their column names in spectra.parquet."""
        return paired_metrics(self.pre, self.post, self.stated)


def measure(
    model: nn.Module,
    batches: Iterable[Any],
    sites: Sequence[FFNSite] | None = None,
    estimators: Sequence[str] = ("full",),
    *,
    positions: Positions | None = None,
    double: bool = False,
    mode: Mode = "eval",
    seed: int | None = None,
) -> list[LayerSpectra]:
    """Run `model(batch)` on every micro-batch and return the spectra of its FFNs (NerVE, section 2).

    The forward is separate from training: eval mode, no gradients, no autocast (the spectra are those of the
    float32 network, whatever precision it trains in), the mode of every submodule restored. What is measured
    is the input of the FFN, from which the spectrum of the pre-activation follows, and the input of its down
    projection; both are streamed, so memory grows with the squares of the widths and not with the tokens. Groups of
    positions have moments each, which multiplies that memory by their number. All tokens together are the sum of these,
    so no token is multiplied twice: what a group costs in time is its eigenvalues.

    In the mode `train` the forward is training's own: with dropout, and under the autocast that the caller has entered.
    Buffers and random generators are restored too, and the power iteration of a spectral norm stands still. Under an
    autocast the pre-activation itself is measured, as it was rounded, since it no longer follows from the input.

    Args:
        model: called once a batch; uncompiled, as compiled code does not run hooks that are added later.
        batches: whatever the model takes, on its device.
        sites: the FFNs to measure; by default all that `find_ffns` finds.
        estimators: their names (see `nervelab.spectra.names`), all fed from the same forward and the same activations.
        positions: which tokens are measured and in which groups, labelled batch by batch before the model runs; by
            default all of them, in one. All tokens of a batch have to reach every FFN, also those left out.
        double: float64 products and solves at every width, in place of float32 above 512.
        mode: of the forward, "eval" or "train".
        seed: of what is random in the mode `train`; by default the generators go on from where they are.

    Returns:
        Layer by layer, in each the estimators in the order asked for, over all measured tokens; after them the groups,
        by `full`.

    Activations that are all zero, or constant, have zero spectra and NaN for metrics. An eigensolver that fails is
    replaced by another, which the spectrum names.

    Raises:
        NervelabError: no FFN was found or given, or no batch; one of the FFNs saw fewer than two tokens (or a sample
            drew fewer, or a group has fewer), no estimator has one of the names, or the labels do not fit the groups or
            the tokens of an FFN; there is no such mode.
        NonFiniteError: activations or weights are not finite.
    """
    if mode not in get_args(Mode):
        raise NervelabError(f"`mode` is {mode!r}: pass 'eval' or 'train'.")
    wanted = [parse(name) for name in dict.fromkeys(estimators)]
    sites = find_ffns(model) if sites is None else sites
    if not sites:
        raise NervelabError("`sites` is empty: pass the FFNs to measure, or None for all that are found.")
    labels = Labels(positions)
    rounded = mode == "train" and autocasting(model)
    gathered = [Gathered(site, wanted, labels, double=double, itself=rounded) for site in sites]
    taps = (tap for each in gathered for tap in each.taps())
    outputs = (tap for each in gathered for tap in each.outputs())
    seen = 0
    with evaluating(model) if mode == "eval" else as_in_training(model, seed), tapped(taps, outputs):
        for seen, batch in enumerate(batches, 1):  # noqa: B007 (counted, for what is said of none)
            labels.read(batch)
            model(batch)
    if not seen:
        raise NervelabError(
            "`batches` held no batch: pass a list, or make the iterator anew, as one that was read before is empty."
        )
    with evaluating(model):
        layers: list[LayerSpectra] = []
        for layer in range(len(sites)):
            # Out of the list, so that a layer's moments are gone before the next is solved.
            layers.extend(_solved(layer, gathered.pop(0), wanted))
    return layers


def _solved(layer: int, gathered: Gathered, wanted: Sequence[Estimator]) -> Iterator[LayerSpectra]:
    _check(gathered)
    weight_Dd = gathered.site.weight()
    reducing = Stopwatch()
    with reducing.running(weight_Dd.device):
        factor_kd = compressed(weight_Dd)
    yield from _by_estimators(layer, gathered, wanted, factor_kd, width=len(weight_Dd), reducing=reducing)
    yield from _by_groups(layer, gathered, factor_kd, width=len(weight_Dd))


def _check(gathered: Gathered) -> None:
    before, after = gathered.tokens
    if not before or before != after:
        raise NervelabError(
            f"FFN '{gathered.site.name}' saw {before} tokens before and {after} after its nonlinearity: "
            "measure an uncompiled model, and pass as sites only the FFNs that it calls."
        )
    for group, tokens in gathered.tokens_of_groups.items():
        if tokens < 2:
            raise NervelabError(
                f"the group of positions '{group}' has {tokens} tokens, and a covariance needs at least 2: "
                "measure more tokens, or fewer groups."
            )


def _by_estimators(
    layer: int,
    gathered: Gathered,
    wanted: Sequence[Estimator],
    factor_kd: Tensor,
    *,
    width: int,
    reducing: Stopwatch,
) -> Iterator[LayerSpectra]:
    forming, device = Stopwatch(), factor_kd.device
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
            gathered.site.name,
            pre,
            post,
            stated=stated,
            moments_seconds=gathered.seconds(estimator) + reducing.seconds + own_forming.seconds,
            solve_seconds=solving.seconds,
        )


def _by_groups(layer: int, gathered: Gathered, factor_kd: Tensor, *, width: int) -> Iterator[LayerSpectra]:
    for group in gathered.groups:
        forming, solving = Stopwatch(), Stopwatch()
        with forming.running(factor_kd.device):
            covariances = gathered.covariances(factor_kd, width, group)
        with solving.running(factor_kd.device):
            pre, post = (exact_spectrum(each) for each in covariances)
        yield LayerSpectra(
            layer,
            gathered.site.name,
            pre,
            post,
            group=group,
            moments_seconds=forming.seconds,
            solve_seconds=solving.seconds,
        )
