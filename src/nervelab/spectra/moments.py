"""First and second moments of activations: streamed, merged, reduced over ranks."""

from collections.abc import Sequence

import torch
from torch import Tensor, distributed

from nervelab.errors import NervelabError
from nervelab.spectra.products import SymmetricSum

# Up to this width products and solves are float64 too: see `Moments`.
DOUBLE_WIDTH = 512
# Rows of one product. As float32 products are summed in float64, fewer rows mean less rounding, more sums.
ROWS = 2048


class NonFiniteError(ArithmeticError):
    """Activations or weights that are NaN, infinite, or too large to square: the training has diverged.

    It is no user error and no defect; a training loop records it as the outcome of the run.
    """


class Moments:
    """n, sum(x - p) and sum((x - p)(x - p)^T) over rows x of activations, about a pilot p.

    The pilot is the mean of the first chunk. It keeps the covariance exact where means are large: at a mean
    of 1000 standard deviations unshifted float32 moments put the participation ratio off by more than its own
    size. Merging partial moments loses nothing, so chunks may be of any size. Activations are kept (less the
    pilot) while there are at most D rows, as the Gram matrix of so few is the smaller problem; the product
    takes their place as soon as there are more.

    Precision, chosen from measurements against float64 numpy: sums are float64 always; products are float64 up to
    width 512, float32 above it. Where the true spectrum ends in zeros, float32 leaves 1e-7 of the largest eigenvalue
    in each of them if it also sums, and 1e-8 if it only multiplies. The former moves SE by 1e-5 at width
    3072, the latter by 3e-6 (PR and EEE less). JS is the delicate one: it is off by up to 2e-6 nats, which is
    nothing beside 0.01, but much where an FFN is nearly linear, so float64 is used as far as it is cheap
    (errors below 1e-9, twice the time of the product). A floor under which eigenvalues count as zero would be no
    remedy: it cuts the real tail of power-law spectra.

    Args:
        double: float64 products and solves at every width.
    """

    def __init__(self, *, double: bool = False) -> None:
        self.n = 0
        self.double = double
        self._pilot_D: Tensor | None = None
        self._sum_D: Tensor
        self._rows: list[Tensor] = []
        self._upper: SymmetricSum | None = None

    @property
    def width(self) -> int:
        """D, known once something was added."""
        return self._pilot_D.shape[0]

    @torch.no_grad()
    def update(self, x_ND: Tensor) -> None:
        """Add the rows of a chunk, of any floating dtype."""
        if not len(x_ND):
            return
        if self._pilot_D is None:
            self._start(x_ND.float().mean(0).double())
        double = self.double or self.width <= DOUBLE_WIDTH or x_ND.dtype == torch.float64
        dtype = torch.float64 if double else torch.float32
        pilot_D = self._pilot_D.to(dtype)  # exact: it is a float32 mean
        if self.n + len(x_ND) > self.width:
            self._product()  # at once, not after some of these rows were kept
        for rows_ND in x_ND.split(ROWS):
            self._add(rows_ND.to(dtype) - pilot_D)

    @torch.no_grad()
    def merge(self, other: "Moments") -> None:
        """Add the rows that `other` has seen, as if they had been seen here, up to float64 rounding."""
        if not other.n:
            return
        if self._pilot_D is None:
            self._start(other._pilot_D)
        shift_D = other._pilot_D - self._pilot_D
        for rows_ND in other._rows:
            self._add(_moved(rows_ND, shift_D))
        if other._upper is not None:
            upper = self._product()
            upper.packed += other._upper.packed
            upper.add_outer(other._sum_D, shift_D)
            upper.add_outer(shift_D, other._sum_D)
            upper.add_outer(other.n * shift_D, shift_D)
            self._sum_D += other._sum_D + other.n * shift_D
            self.n += other.n

    @torch.no_grad()
    def all_reduce(self, group: distributed.ProcessGroup | None = None) -> None:
        """Make these the moments of the rows of all ranks of a process group; D^2 numbers travel, no activations.

        Raises:
            NervelabError: a rank has seen no token (said on all ranks).
        """
        pilots: list[Tensor | None] = [None] * distributed.get_world_size(group)
        distributed.all_gather_object(pilots, self._pilot_D.cpu() if self.n else None, group=group)
        if any(each is None for each in pilots):
            raise NervelabError("a rank has measured no token: give each rank a part of the batch.")
        common = Moments(double=self.double)
        common._start(pilots[0].to(self._pilot_D.device))
        common.merge(self)
        upper = common._product()
        count = torch.tensor(common.n, device=common._sum_D.device)
        for total in (upper.packed, common._sum_D, count):
            distributed.all_reduce(total, group=group)
        self.n, self._pilot_D, self._sum_D = int(count), common._pilot_D, common._sum_D
        self._rows, self._upper = [], upper

    @torch.no_grad()
    def covariance(self) -> Tensor:
        """The unbiased covariance [D, D], (X - mu)^T (X - mu) / (n - 1), in float64.

        Raises:
            NonFiniteError: a row held NaN or infinity, or its square overflows.
            NervelabError: fewer than two rows were added.
        """
        self._check()
        upper = self._upper
        if upper is None:
            upper = self._product_of_rows()
        self._check_finite(upper)
        covariance_DD = upper.dense(1 / (self.n - 1))
        return covariance_DD.addr_(self._sum_D, self._sum_D, alpha=-1 / (self.n * (self.n - 1)))

    @property
    def fewer_rows_than_units(self) -> bool:
        """Whether `gram` can be had and is the smaller problem."""
        return self._upper is None and 0 < self.n < self.width

    @torch.no_grad()
    def gram(self) -> Tensor:
        """(X - mu)(X - mu)^T / (n - 1) [n, n] in float64, which has the nonzero eigenvalues of the covariance.

        Raises:
            NonFiniteError, NervelabError: as `covariance` does.
            ValueError: there were more rows than units, and activations are not kept.
        """
        self._check()
        if not self.fewer_rows_than_units:
            raise ValueError(f"{self.n} rows of width {self.width} are not kept")
        dtype = torch.float64 if self.n <= DOUBLE_WIDTH else self._rows[0].dtype
        mean_D = self._sum_D / self.n
        centred_ND = torch.cat([(rows_ND.double() - mean_D).to(dtype) for rows_ND in self._rows])
        upper = SymmetricSum(self.n, mean_D.device)
        for part_DN in centred_ND.T.split(ROWS):
            upper.add_gram(part_DN)
        self._check_finite(upper)
        return upper.dense(1 / (self.n - 1))

    def _start(self, pilot_D: Tensor) -> None:
        self._pilot_D = pilot_D.clone()
        self._sum_D = torch.zeros_like(pilot_D)

    def _add(self, shifted_ND: Tensor) -> None:
        """Add rows that are about the pilot already; they are kept as they are."""
        self._sum_D += shifted_ND.sum(0)
        self.n += len(shifted_ND)
        if self._upper is None and self.n <= self.width:
            self._rows.append(shifted_ND)
        else:
            self._product().add_gram(shifted_ND)

    def _product(self) -> SymmetricSum:
        """The sum of products, from here on in place of the rows."""
        if self._upper is None:
            self._upper = self._product_of_rows()
            self._rows = []
        return self._upper

    def _product_of_rows(self) -> SymmetricSum:
        upper = SymmetricSum(self.width, self._sum_D.device)
        for rows_ND in self._rows:
            upper.add_gram(rows_ND)
        return upper

    def _check(self) -> None:
        if self.n < 2:
            raise NervelabError(f"a covariance needs at least 2 tokens, got {self.n}: measure more tokens.")

    def _check_finite(self, upper: SymmetricSum) -> None:
        """The diagonal tells: whatever is not finite in a row is not finite in its square."""
        if not torch.isfinite(upper.diagonal()).all() or not torch.isfinite(self._sum_D).all():
            raise NonFiniteError(f"activations of width {self.width} are not finite, or too large to square")


def merged(parts: Sequence[Moments]) -> Moments:
    """The moments of the rows of all parts, which are left as they are; a lone part itself."""
    if len(parts) == 1:
        return parts[0]
    whole = Moments(double=parts[0].double)
    for part in parts:
        whole.merge(part)
    return whole


def _moved(rows_ND: Tensor, shift_D: Tensor) -> Tensor:
    """Kept rows about another pilot: in their own precision where the pilots are near, else in float64."""
    moved_ND = rows_ND.double() + shift_D
    near = bool(shift_D.abs().max() <= rows_ND.abs().max())
    return moved_ND.to(rows_ND.dtype) if near else moved_ND
