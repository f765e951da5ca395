"""Measured layers as rows of the tables of a run."""

from collections.abc import Iterable
from typing import Any

import torch

from nervelab.probes.measure import LayerSpectra
from nervelab.probes.positions import ALL


def spectra_rows(layers: Iterable[LayerSpectra], step: int) -> list[dict[str, Any]]:
    """Rows of spectra.parquet: the metrics of each layer by each estimator, and of its groups, at a training step."""
    return [_key(layer, step) | layer.metrics() for layer in layers]


def eigenvalue_rows(layers: Iterable[LayerSpectra], step: int) -> list[dict[str, Any]]:
    """Rows of eigenvalues.parquet: both spectra, each of length D, of what `spectra_rows` has the metrics of.

    They are tensors, which a checkpoint saves in a hundredth of the time that lists of numbers take.
    """
    return [
        _key(layer, step)
        | {
            "eigenvalues_pre": torch.tensor(layer.pre.eigenvalues),
            "eigenvalues_post": torch.tensor(layer.post.eigenvalues),
        }
        for layer in layers
    ]


def estimator_rows(layers: Iterable[LayerSpectra], step: int) -> list[dict[str, Any]]:
    """Rows of estimators.parquet: the seconds of each estimator over all layers at a training step, without groups'."""
    totals: dict[str, dict[str, Any]] = {}
    for layer in layers:
        if layer.group != ALL:
            continue
        row = totals.setdefault(
            layer.estimator,
            {"step": step, "estimator": layer.estimator, "moments_seconds": 0.0, "solve_seconds": 0.0},
        )
        row["moments_seconds"] += layer.moments_seconds
        row["solve_seconds"] += layer.solve_seconds
    return list(totals.values())


def _key(layer: LayerSpectra, step: int) -> dict[str, Any]:
    return {"step": step, "layer": layer.layer, "group": layer.group, "estimator": layer.estimator}
