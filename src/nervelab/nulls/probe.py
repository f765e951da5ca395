"""One probe: the kept weights of a run beside the network that its seed starts with, and beside nulls.

The entry that the fingerprint of the probes starts from. It reads a plan, the run's weights and its tokens, and imports
nothing of the study, so that only code which can change a number counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from nervelab import runfiles
from nervelab.errors import damaged
from nervelab.files import digest
from nervelab.nulls.layer import Layer, layers
from nervelab.probefiles import COLUMNS, GAUSSIAN, SHUFFLED, TRAINED, UNTRAINED
from nervelab.training.artefacts import unshared
from nervelab.training.execution import Execution
from nervelab.training.loop import Loop
from nervelab.training.prepare import prepared

REMEDY = "delete it (or the folder) and run make again."
SCHEMA = {
    "activations": pl.String,
    "draw": pl.Int64,
    "layer": pl.Int64,
    **dict.fromkeys(COLUMNS, pl.Float64),
}
Row = dict[str, Any]


def probed(
    plan: dict[str, Any],
    run: Path,
    data: Path,
    *,
    draws: int,
    seed: int,
    device: torch.device,
    building: AbstractContextManager[Any],
) -> bytes:
    """probes.parquet of a run that finished: a row for each kind of activations, draw and layer.

    All of them are measured on the tokens of the run's last measurement. Of the trained and of the untrained network
    there is one draw, numbered 0. The draws of a null depend on the seed, the run's settings, the draw and the layer.

    Args:
        plan: of the run, as its trainer reads it.
        run: its folder, verified.
        data: the folder of its tokens.
        draws: of each null.
        seed: what they are drawn from.
        device: where the network runs.
        building: held while the network is built, which draws from torch's one generator.

    Raises:
        NervelabError: the data or the weights are damaged.
    """
    with building:
        loop = prepared(plan, Execution(run, data, run, run), device)
    rows = list(_rows(UNTRAINED, 0, _layers(loop)))
    _load(loop.model, run / runfiles.WEIGHTS)
    trained = _layers(loop)
    rows.extend(_rows(TRAINED, 0, trained))
    entropy = [seed, int(digest(plan["config"])[:16], 16)]
    for draw in range(draws):
        for number, kind in enumerate((GAUSSIAN, SHUFFLED)):
            for index, layer in enumerate(trained):
                random = np.random.default_rng([*entropy, number, draw, index])
                inputs_Nd = layer.nulls.gaussian(random) if kind == GAUSSIAN else layer.nulls.shuffled(random)
                others_Nd = torch.from_numpy(inputs_Nd).to(layer.inputs_Nd)
                rows.append(_row(kind, draw, index, layer.measured(others_Nd)))
    return as_bytes(rows)


def as_bytes(rows: list[Row]) -> bytes:
    """Rows as the content of probes.parquet."""
    content = BytesIO()
    pl.DataFrame(rows, schema=SCHEMA, orient="row").write_parquet(content)
    return content.getvalue()


def _layers(loop: Loop) -> list[Layer]:
    task, model = loop.task, loop.model
    batches = task.measured(loop.config.training.steps)
    return layers(model, batches, task.sites(model), task.positions, loop.device)


def _rows(kind: str, draw: int, of: list[Layer]) -> Iterator[Row]:
    for index, layer in enumerate(of):
        yield _row(kind, draw, index, layer.measured())


def _row(kind: str, draw: int, layer: int, measured: dict[str, float]) -> Row:
    return {"activations": kind, "draw": draw, "layer": layer, **measured}


def _load(model: nn.Module, path: Path) -> None:
    """Put kept weights into a model; a tensor that several names share is kept once.

    Raises:
        NervelabError: they are not the weights of such a model.
    """
    shared = model.state_dict().keys() - unshared(model).keys()
    try:
        missing, unexpected = model.load_state_dict(load_file(path), strict=False)
    except (SafetensorError, RuntimeError) as error:  # no safetensors, or of other shapes
        raise damaged(path, "it does not hold the weights of its run", REMEDY) from error
    if set(missing) - shared or unexpected:
        raise damaged(path, "it does not hold the weights of its run", REMEDY)
