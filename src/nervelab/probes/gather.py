"""What is gathered at one FFN while the model runs: the moments that a set of estimators needs, each only once."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from torch import Tensor, nn

from nervelab.probes.sites import FFNSite
from nervelab.probes.stopwatch import Stopwatch
from nervelab.spectra.covariance import Covariance, direct, projected
from nervelab.spectra.moments import Moments
from nervelab.spectra.names import Estimator
from nervelab.spectra.sampling import Sample, SampledMoments


class Timed:
    """Moments of one site, the tokens that it was shown, and the seconds that this took."""

    def __init__(self, moments: Moments | SampledMoments) -> None:
        self.moments = moments
        self.tokens = 0
        self.stopwatch = Stopwatch()

    def update(self, x_ND: Tensor) -> None:
        """Add the rows of a chunk."""
        self.tokens += len(x_ND)
        with self.stopwatch.running(x_ND.device):
            self.moments.update(x_ND)


class Gathered:
    """The moments of the input and of the post-activation of one FFN, for each share of the tokens that is asked for.

    Estimators that see all tokens share theirs, and so do samples of one ratio.
    """

    def __init__(self, estimators: Sequence[Estimator], *, double: bool) -> None:
        makers = {each.ratio: _maker(each, double) for each in estimators}
        self._pairs = {ratio: (Timed(make()), Timed(make())) for ratio, make in makers.items()}

    def taps(self, site: FFNSite) -> Iterator[tuple[nn.Module, Timed]]:
        """The modules whose inputs are to be observed, each with its observer."""
        for of_input, of_post in self._pairs.values():
            yield site.pre, of_input
            yield site.down, of_post

    @property
    def tokens(self) -> tuple[int, int]:
        """The tokens seen before and after the nonlinearity."""
        of_input, of_post = next(iter(self._pairs.values()))
        return of_input.tokens, of_post.tokens

    def seconds(self, estimator: Estimator) -> float:
        """What gathering took for this estimator, as if it had been alone."""
        return sum(each.stopwatch.seconds for each in self._pairs[estimator.ratio])

    def covariances(self, factor_kd: Tensor, width: int) -> tuple[Covariance, Covariance]:
        """Of all tokens: before and after the nonlinearity."""
        of_input, of_post = (each.moments for each in self._pairs[1.0])
        return projected(of_input, factor_kd, width=width), direct(of_post)

    def samples(self, estimator: Estimator, factor_kd: Tensor, width: int) -> tuple[Sample, Sample]:
        """Of a share of the tokens: before and after the nonlinearity."""
        of_input, of_post = self._pairs[estimator.ratio]
        through = partial(projected, factor_kd=factor_kd, width=width)
        # The halves of the unbiased PR are multiplied with each other, for which their Gram matrices will not do.
        straight = partial(direct, as_gram=estimator.variant != "unbiased")
        return _sample(of_input, through, estimator), _sample(of_post, straight, estimator)


def _sample(timed: Timed, covariance: Callable[[Moments], Covariance], estimator: Estimator) -> Sample:
    moments = timed.moments
    halves = tuple(covariance(half) for half in moments.halves) if estimator.variant else None
    return Sample(covariance(moments.whole()), halves=halves, seen=timed.tokens)


def _maker(estimator: Estimator, double: bool) -> Callable[[], Moments | SampledMoments]:
    if estimator.kind == "sampling":
        return partial(SampledMoments, estimator.ratio, double=double)
    return partial(Moments, double=double)
