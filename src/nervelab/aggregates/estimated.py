"""The run whose spectra were measured by several estimators from the same activations (NerVE, appendices G and H)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nervelab.aggregates.find import Aggregates
from nervelab.aggregates.run import FULL, Run
from nervelab.aggregates.window import window_start_step
from nervelab.paper.architectures import BASELINE, PRELN_GELU

KEPT = 0.1
"""By how much r with the eval loss may differ under an estimator that is fit to watch a training with."""


@dataclass(frozen=True)
class Fidelity:
    """A run under each of its estimators.

    Attributes:
        full: the run with all tokens and the whole spectrum.
        estimated: the same run with the spectra of each other estimator, by its name, in the order of params.yaml.
    """

    full: Run
    estimated: dict[str, Run]

    @property
    def comparable(self) -> bool:
        """Whether errors mean something: estimators see the same activations, whatever the network has learned."""
        return self.full.row["outcome"] != "diverged"

    def errors(self, estimator: str, metric: str) -> np.ndarray:
        """|estimate - full| / |full| of every layer at every checkpoint of the window, shape [S, L]."""
        return np.abs(self.signed(estimator, metric))

    def signed(self, estimator: str, metric: str) -> np.ndarray:
        """(estimate - full) / |full|, shape [S, L]: its mean is the estimator's bias."""
        full, other = self.full.grid(metric), self.estimated[estimator].grid(metric)
        counted = full.steps_S >= window_start_step(self.full)
        return (other.values_SL - full.values_SL)[counted] / np.abs(full.values_SL[counted])


def fidelity(aggregates: Aggregates) -> Fidelity | None:
    """The PreLN GELU run at D = 4d that was measured by several estimators; None if this scale has none."""
    for run in aggregates.all_runs():
        estimators = run.config["measure"]["estimators"]
        # Over any base: at D = 3072 it is another one.
        same = all(run.row[key] == value for key, value in (BASELINE | PRELN_GELU).items() if key != "base")
        if same and len(estimators) > 1:
            return Fidelity(run, {name: aggregates.under(run, name) for name in estimators if name != FULL})
    return None
