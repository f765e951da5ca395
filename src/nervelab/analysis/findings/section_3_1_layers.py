"""NerVE, section 3.1: whether the participation ratio rises in every layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace

import numpy as np

from nervelab.aggregates.find import Aggregates
from nervelab.aggregates.run import Run, names
from nervelab.aggregates.window import mean_ratio
from nervelab.analysis.findings.finding import Claim, Effect, Finding, Rivals, above, below
from nervelab.analysis.findings.rivals import NULL_NAMES, NULLS
from nervelab.analysis.quantities import effect
from nervelab.probefiles import GAUSSIAN, UNTRAINED
from nervelab.statistics.across_runs import share_of
from nervelab.words.labels import ACTIVATIONS, NOT_PROBED, WINDOW
from nervelab.words.runs import outcome

KINDS = {ACTIVATIONS[each]: (each,) for each in ("gelu", "relu", "learnable-leaky-relu")} | {
    "GeGLU and SwiGLU": ("geglu", "swiglu")
}
"""The activations of the architectures; the gated ones together, as either alone has too few layers at laptop scale."""
VARIED = {"placement", "activation", "width_multiple", "norm", "ffn_weights", "positions", "optimiser", "seed"}
"""The settings that architectures and optimisers vary: runs at another rate or measured otherwise do not count."""
FALLING = 0.05
"""The share of layers in which PR may fall where it "rises in every layer"."""


def _falling(aggregates: Aggregates) -> tuple[Effect, ...]:
    return tuple(_share_falling(aggregates, kind) for kind in KINDS)


def _share_falling(aggregates: Aggregates, kind: str) -> Effect:
    """In which share of the layers of all finished runs of a kind PR falls, on the window's mean."""
    alike = tuple(run for run in aggregates.all_runs() if _counts(run, kind))
    runs = tuple(run for run in alike if not run.failed)
    gains = [effect(run, "pr") for run in runs]
    return _share(aggregates, kind, runs, gains, "", below(FALLING), outcome(alike))


def _rivals(aggregates: Aggregates) -> tuple[Effect, ...]:
    return tuple(_null_falling(aggregates, kind, null) for null in (UNTRAINED, GAUSSIAN) for kind in KINDS)


def _null_falling(aggregates: Aggregates, kind: str, null: str) -> Effect:
    """In which share of the layers of a null PR falls, on the mean over draws, over the probed runs of a kind."""
    runs = tuple(run for run in aggregates.all_runs() if _counts(run, kind) and run.probes is not None)
    gains = [mean_ratio(run.probed(null, "pr_post") / run.probed(null, "pr_pre")) for run in runs]
    found = _share(aggregates, kind, runs, gains, f", {NULL_NAMES[null]}", above(FALLING), NOT_PROBED)
    return replace(found, rival=NULLS[null])


def _share(
    aggregates: Aggregates,
    kind: str,
    runs: tuple[Run, ...],
    gains: Sequence[np.ndarray],
    whose: str,
    claim: Claim,
    absent: str,
) -> Effect:
    """The share of gains below 1 of those that are numbers; `absent` is the state where there are no runs."""
    known = {"quantity": f"share of layers in which PR falls{whose}", "claim": claim}
    if not runs:
        return Effect(of=kind, **known, state=absent)
    measured = np.concatenate(gains)
    measured = measured[np.isfinite(measured)]
    falling = int((measured < 1).sum())
    return Effect(
        of=f"{kind}, {len(runs)} runs",
        **known,
        **asdict(share_of(falling, len(measured), aggregates.confidence)),
        runs=names(runs),
        note=f"{falling} of {len(measured)} layers",
    )


def _counts(run: Run, kind: str) -> bool:
    """Whether a run is a decoder of this kind, trained as its base is but for what studies compare."""
    decoder = run.row["placement"] is not None
    return decoder and run.row["activation"] in KINDS[kind] and set(run.row["off_base"]) <= VARIED


LAYERS = (
    Finding(
        id="pr-every-layer",
        section="3.1",
        claim="The participation ratio rises in every layer, whatever the activation.",
        rule=(
            "In which share of the layers of all finished decoders (every base, placement, width, optimiser, recipe "
            "and seed) the gain of PR, averaged geometrically over the window's checkpoints, is below 1: by activation "
            "and gate, with the interval of Clopper and Pearson. Rises in every layer: below "
            f"{100 * FALLING:.0f} % of layers fall, which takes 72 layers of which none does. {WINDOW}"
        ),
        effects=_falling,
        rivals=Rivals(
            "By the probe of the kept weights, of those of these runs that are over the base gpt2-codeparrot by AdamW: "
            "the untrained network, and a Gaussian with the mean and covariance of the trained pre-activations through "
            "the same nonlinearity (on the mean over draws). Where PR rises in nearly every layer of these too, the "
            "claim says nothing of training: it is not explained by one of which more than "
            f"{100 * FALLING:.0f} % of the layers fall.",
            _rivals,
        ),
        caveat=(
            "Layers of one network, and networks that differ in width alone, are no independent draws: the interval "
            "is narrower than it should be. A failed run is left out."
        ),
        revisions=("a claim of its own since the rules were reviewed; before, it was claimed and not tested.",),
    ),
)
