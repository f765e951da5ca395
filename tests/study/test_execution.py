"""The table of how trainings are executed, by the size of their models."""

from __future__ import annotations

import importlib
import math
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import nn

from nervelab.errors import NervelabError
from nervelab.study.components import components
from nervelab.study.config import RunConfig
from nervelab.study.execution import block_weights, read_execution
from nervelab.study.runs import load_project
from tests.support.project_files import PARAMS, ROOT

TABLE = ROOT / "workflow" / "execution.yaml"


def distinct_models() -> dict[str, RunConfig]:
    """A run of each distinct model of each scale."""
    runs = [run for scale in ("smoke", "laptop", "paper") for run in load_project(PARAMS, scale).runs]
    return {run.config.model.model_dump_json(): run.config for run in runs}


def linear_weights(config: RunConfig) -> int:
    """The weights of the linear maps in the blocks of a model, counted in the model itself."""
    with torch.device("meta"):
        model = importlib.import_module(components(config)["model"]).build(config.model, config.outputs)
    maps = (each for each in model.blocks.modules() if isinstance(each, nn.Linear))
    return sum(each.in_features * each.out_features for each in maps)


def test_weights_are_those_of_the_model_itself():
    models = distinct_models()
    assert len(models) > 60
    for config in models.values():
        assert block_weights(config.model) == linear_weights(config), config.model


def test_the_entry_of_a_model_is_the_first_above_its_weights():
    execution = read_execution(TABLE)
    for config in distinct_models().values():
        size, weights = execution.of(config.model), block_weights(config.model)
        assert weights < size.below
        assert all(weights >= each.below for each in execution.sizes if each.below < size.below)


def edited(folder: Path, **changes: Any) -> Path:
    """The table with other values: of the whole file, or under `size` of its first entry."""
    content = yaml.safe_load(TABLE.read_text())
    content["sizes"][0] |= changes.pop("size", {})
    path = folder / "execution.yaml"
    path.write_text(yaml.safe_dump(content | changes))
    return path


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"partition": "gpu"}, "partition: this key is not known"),
        ({"size": {"memory_mb": 0}}, "sizes.0.memory_mb: "),
        ({"size": {"minutes": "60"}}, "sizes.0.minutes: "),
        ({"size": {"memory": 100}}, "sizes.0.memory: this key is not known"),
        ({"size": {"device": "gpu"}}, "sizes.0.device: 'gpu' is no device that this trains on"),
        ({"size": {"together": 17}}, "sizes.0.together: "),
        ({"size": {"below": 1e9}}, "sizes: `below` must grow from entry to entry, and be .inf in the last"),
        ({"size": {"below": math.nan}}, "sizes.0.below: "),
        ({"sizes": []}, "sizes: "),
        ({"data": {"partition": "", "memory_mb": 1, "minutes": 1}}, "data.partition: "),
        ({"data": None}, "data: "),
        ({"max_minutes": 0}, "max_minutes: "),
        ({"overhead_mb": -1}, "overhead_mb: "),
    ],
)
def test_what_may_not_be_said_is_refused_in_one_sentence(changes: dict[str, Any], said: str, tmp_path: Path):
    path = edited(tmp_path, **changes)
    with pytest.raises(NervelabError) as refused:
        read_execution(path)
    assert f"{path}: {said}" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_missing_table_is_named(tmp_path: Path):
    with pytest.raises(NervelabError, match=r"execution\.yaml is missing"):
        read_execution(tmp_path / "execution.yaml")
