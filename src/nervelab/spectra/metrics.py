"""The four metrics of NerVE (section 2) and what is derived from them: float64 functions of eigenvalues.

Every metric reads the shares p_i = l_i / sum(l) of the eigenvalues in descending order, so none depends on
the scale of the activations. A spectrum without variance has no shares: its metrics are NaN.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from nervelab.spectra.spectrum import Spectrum


def spectral_entropy(eigenvalues: ArrayLike) -> float:
    """SE = -sum p_i ln p_i, in nats: 0 for a lone eigenvalue, ln D if all are equal, NaN if all are zero."""
    p_D = _shares(eigenvalues)
    positive = p_D[p_D != 0]
    return float(-(positive * np.log(positive)).sum())


def participation_ratio(eigenvalues: ArrayLike) -> float:
    """PR = (sum l)^2 / sum l^2, the effective number of dimensions, from 1 to D; NaN for a zero spectrum."""
    return float(1 / (_shares(eigenvalues) ** 2).sum())


def early_enrichment(eigenvalues: ArrayLike) -> float:
    """EEE = (2/D) sum_k (S_k - k/D) with S_k = p_1 + ... + p_k.

    It is 0 for a flat spectrum, (D-1)/D for a lone eigenvalue, NaN for a zero spectrum.
    Summed in the equal form sum_i p_i (D + 1 - 2i) / D, which is exact at both ends.
    """
    p_D = _shares(eigenvalues)
    width = len(p_D)
    return float((p_D * (width + 1 - 2 * np.arange(1, width + 1))).sum() / width)


def js_divergence(eigenvalues_p: ArrayLike, eigenvalues_q: ArrayLike) -> float:
    """Jensen-Shannon divergence of spectra matched by rank, in nats, 0 to ln 2; NaN if either is zero.

    With m = (p + q) / 2 and t = (p - q) / (p + q) it is sum m (t atanh t + ln(1 - t^2) / 2), a form that
    loses no digits where the spectra nearly agree; at |t| = 1 the bracket is ln 2.
    """
    p_D, q_D = _shares(eigenvalues_p), _shares(eigenvalues_q)
    if len(p_D) != len(q_D):
        raise ValueError(f"spectra of {len(p_D)} and {len(q_D)} eigenvalues cannot be matched by rank")
    total_D = p_D + q_D
    kept = total_D != 0
    t = (p_D - q_D)[kept] / total_D[kept]
    disjoint = np.abs(t) == 1
    inner = np.where(disjoint, 0, t)
    terms = np.where(disjoint, np.log(2), inner * np.arctanh(inner) + np.log1p(-(inner**2)) / 2)
    return float((total_D[kept] / 2 * terms).sum())


def paired_metrics(pre: Spectrum, post: Spectrum, stated: Mapping[str, float] | None = None) -> dict[str, float | int]:
    """All metrics of one FFN, under their column names in spectra.parquet.

    `pr_gain` is PR_post / PR_pre, `delta_eee` is EEE_post - EEE_pre.

    Args:
        pre, post: the two spectra.
        stated: metrics that an estimator states itself (an extrapolation, say) in place of those of its spectra.

    Raises:
        ValueError: the two were not measured over the same tokens and width.
    """
    if (pre.n_tokens, pre.width) != (post.n_tokens, post.width):
        raise ValueError(
            f"pre-activation ({pre.n_tokens} tokens, width {pre.width}) and post-activation "
            f"({post.n_tokens} tokens, width {post.width}) are not a pair"
        )
    metrics = {
        "se_pre": spectral_entropy(pre.eigenvalues),
        "se_post": spectral_entropy(post.eigenvalues),
        "pr_pre": participation_ratio(pre.eigenvalues),
        "pr_post": participation_ratio(post.eigenvalues),
        "eee_pre": early_enrichment(pre.eigenvalues),
        "eee_post": early_enrichment(post.eigenvalues),
        "js": js_divergence(pre.eigenvalues, post.eigenvalues),
    } | dict(stated or {})
    return metrics | {
        "pr_gain": metrics["pr_post"] / metrics["pr_pre"],
        "delta_eee": metrics["eee_post"] - metrics["eee_pre"],
        "n_tokens": pre.n_tokens,
        "width": pre.width,
    }


def _shares(eigenvalues: ArrayLike) -> np.ndarray:
    values = np.sort(np.asarray(eigenvalues, dtype=np.float64))[::-1]
    if values.ndim != 1 or not len(values) or not np.isfinite(values).all() or values[-1] < 0:
        raise ValueError("eigenvalues must be one finite, non-negative row")
    if values[0] == 0:
        return np.full(len(values), np.nan)
    values = values / values[0]  # first, so that neither the sum nor the shares leave the range of float64
    return values / values.sum()
