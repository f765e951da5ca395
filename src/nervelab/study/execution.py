"""workflow/execution.yaml: how trainings are executed, by the size of their model. No part of a run's identity."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import ConfigDict, Field, Strict, field_validator

from nervelab import layout
from nervelab.study.checked import checked
from nervelab.study.config.record import Positive, Record
from nervelab.study.options import Device
from nervelab.study.yamlfile import read_yaml

if TYPE_CHECKING:
    from nervelab.study.config import DecoderModel, MixerModel

GATED = ("geglu", "swiglu")


class Size(Record):
    """What a training asks for whose model has fewer than `below` weights in its blocks."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=True)

    below: Annotated[float, Field(gt=0)]
    memory_mb: Positive
    minutes: Positive
    cpus: Positive
    device: Device | None
    accumulation: Positive
    together: Annotated[int, Field(ge=1, le=16)]  # their ids stand in the name of one file


class Data(Record):
    """Where data are made, None for where Snakemake runs, and what a job that makes them asks for."""

    partition: Annotated[str, Field(pattern=r"^[\w.-]+$")] | None
    memory_mb: Positive
    minutes: Positive


class Execution(Record):
    """The whole of the file."""

    data: Data
    overhead_mb: Annotated[int, Field(ge=0)]
    max_minutes: Positive
    sizes: Annotated[tuple[Size, ...], Strict(False), Field(min_length=1)]

    @field_validator("sizes")
    @classmethod
    def _ascend_to_infinity(cls, sizes: tuple[Size, ...]) -> tuple[Size, ...]:
        bounds = [size.below for size in sizes]
        if bounds != sorted(set(bounds)) or bounds[-1] != math.inf:
            raise ValueError("`below` must grow from entry to entry, and be .inf in the last, for models of any size")
        return sizes

    def of(self, model: DecoderModel | MixerModel) -> Size:
        """What a training of this model asks for."""
        weights = block_weights(model)
        return next(size for size in self.sizes if weights < size.below)


def read_execution(path: Path = layout.EXECUTION) -> Execution:
    """The checked content of workflow/execution.yaml.

    Raises:
        NervelabError: it is missing, is not YAML, or says something it may not.
    """
    return checked(Execution, read_yaml(path), lambda keys: f"{path}: {'.'.join(map(str, keys))}")


def block_weights(model: DecoderModel | MixerModel) -> int:
    """The number of weights of the linear maps in a model's blocks, of attention and FFNs, without biases."""
    d_model = model.d_model
    if model.family == "mixer":
        patches = (model.image // model.patch) ** 2
        return model.layers * 2 * (patches * model.token_width + d_model * model.width_multiple * d_model)
    width = model.ffn_width or model.width_multiple * d_model
    return model.layers * d_model * (4 * d_model + (3 if model.activation in GATED else 2) * width)
