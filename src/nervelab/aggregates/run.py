"""One training with what was measured in it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

FULL = "full"
"""The estimator of all tokens and the whole spectrum, which everything is decided by."""
ALL = "all"
"""The group of all token positions that are measured."""


@dataclass(frozen=True)
class Grid:
    """One metric of one run at every measured step and layer.

    Attributes:
        steps_S: measured steps, ascending.
        values_SL: the metric; NaN where it was not measured.
    """

    steps_S: np.ndarray
    values_SL: np.ndarray


@dataclass(frozen=True)
class Run:
    """One training with what was measured in it.

    Attributes:
        row: its row of runs.parquet.
        spectra: its rows of spectra.parquet, for all tokens, by one estimator: the full one, see `Aggregates.under`.
        history: its rows of history.parquet.
        window_start: the share of its steps from which on checkpoints count.
        probes: its rows of probes.parquet; None if it was not probed.
    """

    row: dict[str, Any]
    spectra: pl.DataFrame
    history: pl.DataFrame
    window_start: float
    probes: pl.DataFrame | None = None

    @property
    def failed(self) -> bool:
        """Whether training diverged or got stuck, so that its spectra are not those of a trained network."""
        return self.row["outcome"] != "finished"

    @cached_property
    def _grids(self) -> dict[str, Grid]:
        return {}

    @cached_property
    def config(self) -> dict[str, Any]:
        """Its whole RunConfig."""
        return json.loads(self.row["config"])

    @property
    def width(self) -> int:
        """D, the hidden width of its FFNs (of a Mixer: of those over the channels)."""
        model = self.config["model"]
        return model.get("ffn_width") or model["width_multiple"] * model["d_model"]

    @property
    def state(self) -> str:
        """The outcome in words, with the step of a failure."""
        return f"{self.row['outcome']} at step {self.row['stopped_at']}" if self.failed else "finished"

    def grid(self, metric: str) -> Grid:
        """A metric (a column of spectra.parquet) by step and layer."""
        if metric not in self._grids:
            self._grids[metric] = self._pivoted(metric)
        return self._grids[metric]

    def _pivoted(self, metric: str) -> Grid:
        wide = self.spectra.pivot("layer", index="step", values=metric, sort_columns=True).sort("step")
        values_SL = wide.drop("step").cast(pl.Float64).fill_null(float("nan")).to_numpy()
        return Grid(steps_S=wide["step"].to_numpy(), values_SL=values_SL)

    def probed(self, activations: str, column: str) -> np.ndarray | None:
        """What a probe of its weights measured, draw by draw and layer by layer, shape [draws, L]; None if nothing did.

        Args:
            activations: whose, one of `nervelab.probefiles.ACTIVATIONS_OF`.
            column: one of `nervelab.probefiles.COLUMNS`.
        """
        if self.probes is None:
            return None
        if (activations, column) not in self._probed:
            self._probed[activations, column] = self._pivoted_probe(activations, column)
        return self._probed[activations, column]

    @cached_property
    def _probed(self) -> dict[tuple[str, str], np.ndarray | None]:
        return {}

    def _pivoted_probe(self, activations: str, column: str) -> np.ndarray | None:
        rows = self.probes.filter(pl.col("activations") == activations)
        wide = rows.pivot("layer", index="draw", values=column, sort_columns=True).sort("draw").drop("draw")
        return wide.cast(pl.Float64).fill_null(float("nan")).to_numpy() if len(rows) else None

    def eval_loss_at(self, steps_S: np.ndarray) -> np.ndarray:
        """Eval loss, in nats, at the given steps; NaN at a step that has none."""
        asked = pl.DataFrame({"step": steps_S}, schema={"step": pl.Int64})
        joined = asked.join(self.history, on="step", how="left", maintain_order="left")
        return joined["eval_loss"].fill_null(float("nan")).to_numpy()


def names(runs: Iterable[Run | None]) -> tuple[str, ...]:
    """The names of those of the runs that are there."""
    return tuple(run.row["name"] for run in runs if run is not None)
