"""Measured layers as rows of the tables of a run."""

from collections.abc import Iterable
from typing import Any

from nervelab.probes.measure import LayerSpectra
from nervelab.spectra.metrics import paired_metrics


def spectra_rows(layers: Iterable[LayerSpectra], step: int) -> list[dict[str, Any]]:
    """Rows of spectra.parquet: the metrics of each layer at a training step."""
    return [_key(layer, step) | paired_metrics(layer.pre, layer.post) for layer in layers]


def eigenvalue_rows(layers: Iterable[LayerSpectra], step: int) -> list[dict[str, Any]]:
    """Rows of eigenvalues.parquet: both spectra of each layer at a training step, each of length D."""
    return [
        _key(layer, step)
        | {
            "eigenvalues_pre": layer.pre.eigenvalues.tolist(),
            "eigenvalues_post": layer.post.eigenvalues.tolist(),
        }
        for layer in layers
    ]


def _key(layer: LayerSpectra, step: int) -> dict[str, Any]:
    return {"step": step, "layer": layer.layer, "group": "all", "estimator": layer.post.estimator}
