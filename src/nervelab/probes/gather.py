"""What is gathered at one FFN while the model runs: the moments that a set of estimators needs, each only once."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

from torch import Tensor, nn

from nervelab.probes.positions import ALL, Labels
from nervelab.probes.sites import FFNSite
from nervelab.probes.stopwatch import Stopwatch
from nervelab.spectra.covariance import Covariance, direct, projected
from nervelab.spectra.moments import Moments, merged
from nervelab.spectra.names import Estimator
from nervelab.spectra.sampling import Sample, SampledMoments


class Timed:
    """Moments of the parts that the tokens of one site are dealt to, the tokens that it saw, and the seconds.

    Args:
        parts: the moments of each part.
        deal: gives of the rows of a chunk those of each part; what it leaves out counts as seen all the same.
    """

    def __init__(
        self, parts: Sequence[Moments] | Sequence[SampledMoments], deal: Callable[[Tensor], Iterable[Tensor]]
    ) -> None:
        self.parts = parts
        self.tokens = 0
        self.stopwatch = Stopwatch()
        self._deal = deal

    def update(self, x_ND: Tensor) -> None:
        """Add the rows of a chunk."""
        self.tokens += len(x_ND)
        with self.stopwatch.running(x_ND.device):
            for moments, rows_ND in zip(self.parts, self._deal(x_ND), strict=True):
                moments.update(rows_ND)


class Gathered:
    """The moments of the input and of the post-activation of one FFN, for each share of the tokens that is asked for.

    Estimators that see all tokens share theirs, and so do samples of one ratio. All tokens are gathered group by group
    if there are groups of positions, and then whatever the estimators; samples are drawn from all groups together.
    With `itself` the pre-activation is gathered as the forward rounded it, in place of the input that it follows from.
    """

    def __init__(
        self, site: FFNSite, estimators: Sequence[Estimator], labels: Labels, *, double: bool, itself: bool = False
    ) -> None:
        self.site, self.itself = site, itself
        self.groups = labels.groups
        ratios = {each.ratio for each in estimators} | ({1.0} if self.groups else set())
        timed = partial(_timed, site.name, labels, double)
        self._pairs = {ratio: (timed(ratio), timed(ratio)) for ratio in sorted(ratios)}

    def taps(self) -> Iterator[tuple[nn.Module, Timed]]:
        """The modules whose inputs are to be observed, each with its observer."""
        for of_input, of_post in self._pairs.values():
            if not self.itself:
                yield self.site.pre, of_input
            yield self.site.down, of_post

    def outputs(self) -> Iterator[tuple[nn.Module, Timed]]:
        """The modules whose outputs are to be observed, each with its observer."""
        if self.itself:
            for of_pre, _ in self._pairs.values():
                yield self.site.pre, of_pre

    @property
    def tokens(self) -> tuple[int, int]:
        """The tokens seen before and after the nonlinearity, with those that were left out."""
        of_input, of_post = next(iter(self._pairs.values()))
        return of_input.tokens, of_post.tokens

    @property
    def tokens_of_groups(self) -> dict[str, int]:
        """The tokens of each group of positions."""
        if not self.groups:
            return {}
        of_input, _ = self._pairs[1.0]
        return {group: moments.n for group, moments in zip(self.groups, of_input.parts, strict=True)}

    def seconds(self, estimator: Estimator) -> float:
        """What gathering took for this estimator, as if it had been alone."""
        return sum(each.stopwatch.seconds for each in self._pairs[estimator.ratio])

    def covariances(self, factor_kd: Tensor, width: int, group: str = ALL) -> tuple[Covariance, Covariance]:
        """Of all tokens, or of those of a group: before and after the nonlinearity."""
        of_input, of_post = (self._moments(each, group) for each in self._pairs[1.0])
        of_pre = direct(of_input) if self.itself else projected(of_input, factor_kd, width=width)
        return of_pre, direct(of_post)

    def samples(self, estimator: Estimator, factor_kd: Tensor, width: int) -> tuple[Sample, Sample]:
        """Of a share of the tokens: before and after the nonlinearity."""
        of_input, of_post = self._pairs[estimator.ratio]
        # The halves of the unbiased PR are multiplied with each other, for which their Gram matrices will not do.
        straight = partial(direct, as_gram=estimator.variant != "unbiased")
        through = straight if self.itself else partial(projected, factor_kd=factor_kd, width=width)
        return _sample(of_input, through, estimator), _sample(of_post, straight, estimator)

    def _moments(self, timed: Timed, group: str) -> Moments:
        # Of all groups each time anew: the sum is needed once, and need not be there while groups are solved.
        return merged(timed.parts) if group == ALL else timed.parts[self.groups.index(group)]


def _timed(site: str, labels: Labels, double: bool, ratio: float) -> Timed:
    if ratio < 1:
        return Timed([SampledMoments(ratio, double=double)], partial(labels.together, site))
    return Timed([Moments(double=double) for _ in labels.groups or (ALL,)], partial(labels.by_group, site))


def _sample(timed: Timed, covariance: Callable[[Moments], Covariance], estimator: Estimator) -> Sample:
    (moments,) = timed.parts
    halves = tuple(covariance(half) for half in moments.halves) if estimator.variant else None
    return Sample(covariance(moments.whole()), halves=halves, seen=moments.seen)
