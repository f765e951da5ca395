"""Block Krylov quadrature (BKQ): a spectrum from a few products with the matrix.

A block Krylov space from b random sign vectors gives Ritz values and weights, a quadrature of the spectral measure
(stochastic Lanczos quadrature, Ubaru, Chen & Saad 2017). Alone it is off by tens of per cent in PR, because it weighs
the few leading eigenvalues at random. Here (1) Ritz values that have converged are eigenvalues, counted as often as
they are there and taken out; (2) the weights of the rest are tilted until their number, trace and squares are those
of the matrix, which are known exactly; (3) quantiles of the rest are read in log scale.
"""

import numpy as np
import torch

from nervelab.spectra.covariance import Covariance
from nervelab.spectra.exact import exact_spectrum, spectrum_of
from nervelab.spectra.krylov import KrylovSpace, Ritz, rademacher
from nervelab.spectra.metrics import early_enrichment, participation_ratio, spectral_entropy
from nervelab.spectra.spectrum import Spectrum
from nervelab.spectra.tails import matched

# A Ritz value counts as converged if its residual is below this share of it.
CONVERGED = 1e-2
# Converged Ritz values closer than this are copies of one eigenvalue.
COPIES = 1e-4
# Values below this share of the largest are zeros; by precision of the products.
NOISE = {torch.float64: 1e-12, torch.float32: 3e-7}
# Squares of the rest below this share of all squares are rounding, and are not matched.
LEFT = 1e-5
# An expected error above this is answered by the exact path.
TRIGGER = 1e-2
# EEE of a nearly flat spectrum is near zero; its error is taken relative to no less than this.
EEE_SCALE = 0.05


@torch.no_grad()
def krylov_quadrature(covariance: Covariance, *, block: int, steps: int, seed: int = 0) -> Spectrum:
    """The spectrum by BKQ with `block` probes and `steps` steps: quantiles, of which only the leading are eigenvalues.

    PR is exact, as it follows from the trace and the squares. The expected error compares with 3/4 of the
    steps; above 1 per cent the exact path takes over, and the solver of the spectrum says so, as it does where
    the matrix is so small that a Krylov space is no saving. Products are float32 above size 512, and float64
    where float32 cannot tell from zero what matters to SE.
    """
    name = f"bkq-{block}x{steps}"
    if 2 * block * steps >= covariance.size or not covariance.trace:
        return _exactly(covariance, name, f"{block}x{steps} is no saving at size {covariance.size}")
    probes_kb = rademacher(covariance.size, block, seed)
    for matrix_kk in dict.fromkeys((covariance.working(), covariance.unit_kk)):
        noise = NOISE[matrix_kk.dtype]
        space = KrylovSpace(matrix_kk, probes_kb, steps)
        fine = _quantiles(space.ritz(), covariance, block, noise)
        if not _may_hide(fine, noise):
            break
    coarse = _quantiles(space.ritz(max(1, 3 * len(space.sizes) // 4)), covariance, block, noise)
    error = _difference(fine, coarse, covariance.width)
    if error > TRIGGER:
        return _exactly(covariance, name, f"an expected error of {error:.1%}")
    solver = f"block Krylov quadrature {str(matrix_kk.dtype).removeprefix('torch.')} {matrix_kk.device.type}"
    return spectrum_of(covariance, fine, solver=solver, estimator=name, error=error)


def _may_hide(values: np.ndarray, noise: float) -> bool:
    """Whether values of the size of the noise, in place of the zeros, would change SE by a thousandth."""
    floor = noise * values[0]
    return bool((values < floor).sum() * -floor * np.log(floor) > 1e-3 * max(spectral_entropy(values), 1e-3))


def _exactly(covariance: Covariance, name: str, reason: str) -> Spectrum:
    exact = exact_spectrum(covariance)
    return Spectrum(
        exact.eigenvalues,
        n_tokens=exact.n_tokens,
        solver=f"{exact.solver}, for {name}: {reason}",
        estimator=name,
        error=exact.error,
    )


def _quantiles(ritz: Ritz, covariance: Covariance, block: int, noise: float) -> np.ndarray:
    """Steps (1) to (3): as many values as the rank can have, descending, of trace 1."""
    values, residuals, weights = (each.numpy().copy() for each in (ritz.values_m, ritz.residuals_m, ritz.weights_m))
    floor = noise * values[0]
    values[values < floor] = 0
    converged = residuals <= np.maximum(CONVERGED * values, floor)
    counted, nodes, masses, plateaus = [], [], [], []
    for group in _groups(values, converged):
        if converged[group[0]] and values[group[0]] and len(group) < block:
            counted.extend(values[group])
        else:
            nodes.append(values[group].mean())
            masses.append(weights[group].sum())
            plateaus.append(bool(converged[group[0]]))
    counted = np.array(counted)
    number = covariance.rank_bound - len(counted)
    trace, square = 1 - counted.sum(), covariance.square - (counted**2).sum()
    if square < LEFT * covariance.square:  # a difference of nearly equal numbers; PR does not see it
        square = None
    if number <= 0 or trace <= noise or not nodes:
        rest = np.zeros(max(number, 0))
    else:
        masses = tilted(np.array(nodes), np.array(masses), (number, trace, square))
        rest = matched(_read(np.array(nodes), masses, np.array(plateaus), number, floor), trace, square)
    return np.sort(np.concatenate([counted, rest]))[::-1][: covariance.rank_bound]


def _groups(values: np.ndarray, converged: np.ndarray) -> list[np.ndarray]:
    """Indices of equal converged values together, of every other value alone."""
    near = (values[:-1] - values[1:] <= COPIES * values[:-1]) & converged[:-1] & converged[1:]
    return np.split(np.arange(len(values)), np.flatnonzero(~near) + 1)


def tilted(nodes: np.ndarray, masses: np.ndarray, wanted: tuple[float, float, float | None]) -> np.ndarray:
    """The masses m_i exp(a + b t_i + c t_i^2), at nodes t_i >= 0, whose sum, first and second moment are as wanted.

    Newton's method on the convex dual; without a second moment c is 0. Where no such masses exist (fewer than three
    distinct nodes) they come as near as the last steps bring them.
    """
    number, trace, square = wanted
    start = masses * (number / masses.sum())
    if not nodes.max():
        return start
    scale = square / trace if square is not None else trace / number
    powers = (nodes / scale) ** np.arange(2 if square is None else 3)[:, None]
    target = np.array([number, trace / scale, *([] if square is None else [square / scale**2])])
    coefficients, found = np.zeros(len(target)), start
    for _ in range(50):
        misses = 1 - powers @ found / target
        if np.abs(misses).max() < 1e-12:
            break
        hessian = (powers * found) @ powers.T / target[:, None]
        step = np.linalg.lstsq(hessian, misses, rcond=1e-12)[0]
        coefficients = coefficients + step * min(1.0, 1.0 / max(np.abs(step @ powers).max(), 1e-300))
        found = start * np.exp(np.clip(coefficients @ powers, -50, 50))
    return found * (number / found.sum())


def _read(nodes: np.ndarray, masses: np.ndarray, plateaus: np.ndarray, number: int, floor: float) -> np.ndarray:
    """Quantiles at the middle of each of `number` equal parts, log-interpolated; a plateau is as wide as its mass."""
    ends = np.cumsum(masses)
    begins = ends - masses
    middles = (begins + ends) / 2
    heights = np.log(np.maximum(nodes, floor / 10))
    positions = np.stack([np.where(plateaus, begins, middles), np.where(plateaus, ends, middles)], axis=1).ravel()
    read = np.exp(np.interp(np.arange(number) + 0.5, positions, np.repeat(heights, 2)))
    read[read < floor] = 0
    return read


def _difference(fine: np.ndarray, coarse: np.ndarray, width: int) -> float:
    """The largest relative difference of SE, PR and EEE."""
    pairs = []
    for metric, least in ((spectral_entropy, 1e-6), (participation_ratio, 1.0), (early_enrichment, EEE_SCALE)):
        both = [metric(np.pad(values, (0, width - len(values)))) for values in (fine, coarse)]
        pairs.append(abs(both[0] - both[1]) / max(abs(both[0]), least))
    return max(pairs)
