"""First and second moments of activations, streamed."""

import torch
from torch import Tensor

from nervelab.errors import NervelabError
from nervelab.spectra.products import add_gram, mirrored

# Up to this width the products are float64 too: see `Moments`.
DOUBLE_WIDTH = 512
# Rows of one product. As float32 products are summed in float64, fewer rows mean less rounding, more sums.
ROWS = 1024


class NonFiniteError(ArithmeticError):
    """Activations or weights that are NaN, infinite, or too large to square: the training has diverged.

    It is no user error and no defect; a training loop records it as the outcome of the run.
    """


class Moments:
    """n, sum(x - p) and sum((x - p)(x - p)^T) over rows x of activations, about a pilot p.

    The pilot is the mean of the first chunk. It keeps the covariance exact where means are large: at a mean
    of 1000 standard deviations unshifted float32 moments put the participation ratio off by more than its own
    size. Activations are not kept, and merging partial moments loses nothing, so chunks may be of any size.

    Precision, chosen from measurements against float64 numpy: sums are float64 always; products are float64 up to
    width 512, float32 above it. Where the true spectrum ends in zeros, float32 leaves 1e-7 of the largest eigenvalue
    in each of them if it also sums and solves, and 1e-8 if it only multiplies. The former moves SE by 1e-5 at width
    3072, the latter by at most 4e-6 (PR and EEE less). JS is the delicate one: it is off by up to 1e-7 nats, which is
    nothing beside 0.01, but a hundredth of it where an FFN is nearly linear, so float64 is used as far as it is cheap
    (errors below 1e-9, twice the time of the product). A floor under which eigenvalues count as zero would be no
    remedy: it cuts the real tail of power-law spectra.
    """

    def __init__(self) -> None:
        self.n = 0
        self._pilot_D: Tensor
        self._sum_D: Tensor
        self._upper_DD: Tensor

    @property
    def width(self) -> int:
        """D, known once something was added."""
        return self._pilot_D.shape[0]

    @torch.no_grad()
    def update(self, x_ND: Tensor) -> None:
        """Add the rows of a chunk, of any floating dtype."""
        if not len(x_ND):
            return
        if not self.n:
            self._start(x_ND.float().mean(0).double())
        double = self.width <= DOUBLE_WIDTH or x_ND.dtype == torch.float64
        dtype = torch.float64 if double else torch.float32
        pilot_D = self._pilot_D.to(dtype)  # exact: it is a float32 mean
        for rows_ND in x_ND.split(ROWS):
            shifted_ND = rows_ND.to(dtype) - pilot_D
            self._sum_D += shifted_ND.sum(0)
            add_gram(self._upper_DD, shifted_ND)
        self.n += len(x_ND)

    @torch.no_grad()
    def merge(self, other: "Moments") -> None:
        """Add the rows that `other` has seen, as if they had been seen here, up to float64 rounding."""
        if not other.n:
            return
        if not self.n:
            self._start(other._pilot_D)
        shift_D = other._pilot_D - self._pilot_D
        moved_DD = torch.outer(other._sum_D, shift_D)
        self._upper_DD += other._upper_DD + moved_DD + moved_DD.T + other.n * torch.outer(shift_D, shift_D)
        self._sum_D += other._sum_D + other.n * shift_D
        self.n += other.n

    @torch.no_grad()
    def covariance(self) -> Tensor:
        """The unbiased covariance [D, D], (X - mu)^T (X - mu) / (n - 1), in float64.

        Raises:
            NonFiniteError: a row held NaN or infinity, or its square overflows.
            NervelabError: fewer than two rows were added.
        """
        if self.n < 2:
            raise NervelabError(f"a covariance needs at least 2 tokens, got {self.n}: measure more tokens.")
        second_DD = mirrored(self._upper_DD)
        covariance_DD = (second_DD - torch.outer(self._sum_D, self._sum_D / self.n)) / (self.n - 1)
        if not torch.isfinite(covariance_DD).all():
            raise NonFiniteError(f"activations of width {self.width} are not finite, or too large to square")
        return covariance_DD

    def _start(self, pilot_D: Tensor) -> None:
        self._pilot_D = pilot_D.clone()
        self._sum_D = torch.zeros_like(pilot_D)
        self._upper_DD = pilot_D.new_zeros(len(pilot_D), len(pilot_D))
