"""The estimators that work on the covariance of all tokens, by kind."""

from nervelab.spectra.covariance import Covariance
from nervelab.spectra.exact import exact_spectrum
from nervelab.spectra.names import Estimator, parse
from nervelab.spectra.quadrature import krylov_quadrature
from nervelab.spectra.spectrum import Spectrum
from nervelab.spectra.truncated import lanczos, randomised_svd

# `auto` solves exactly up to this size, where a Krylov space saves less than a tenth of a second.
AUTO_EXACT = 1536
AUTO_LARGE = parse("bkq-16x24")


def estimate(estimator: Estimator, covariance: Covariance) -> Spectrum:
    """The spectrum of a covariance by an estimator.

    `auto` is exact up to size 1536 and BKQ 16x24 above (which is exact where it expects an error above 1 per cent).
    As a pre-activation comes as d x d, and few tokens as their Gram matrix, that is the post-activation of wide
    layers. Its spectrum bears the name of the estimator that was chosen.

    Raises:
        ValueError: an estimator that needs a sample of the tokens, see `sampling`.
    """
    if estimator.kind == "auto":
        estimator = AUTO_LARGE if covariance.size > AUTO_EXACT else parse("full")
    if estimator.kind == "full":
        return exact_spectrum(covariance)
    if estimator.kind == "bkq":
        return krylov_quadrature(covariance, block=estimator.block, steps=estimator.steps)
    if estimator.kind not in ("randsvd", "lanczos"):
        raise ValueError(f"{estimator.name} works on sampled tokens, not on a covariance")
    at_rank = {"randsvd": randomised_svd, "lanczos": lanczos}[estimator.kind]
    rank = estimator.rank_at(covariance.width)
    return at_rank(covariance, rank=rank, variant=estimator.variant, name=estimator.name)
