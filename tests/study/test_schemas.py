"""The schemas that editors use are those of the records that check the files."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from nervelab import layout
from nervelab.study import schema
from nervelab.study.params import params_files
from nervelab.study.yamlfile import read_yaml
from tests.support.project_files import PARAMS, ROOT

FILES = [*params_files(PARAMS), ROOT / layout.EXECUTION]


def kept(file: Path) -> dict[str, Any]:
    return json.loads((ROOT / schema.FOLDER / schema.schema_name(file)).read_text())


def complaints(file: Path, content: dict[str, Any]) -> list[str]:
    return [error.message for error in jsonschema.Draft202012Validator(kept(file)).iter_errors(content)]


def test_they_are_current():
    """Made again by `python -m nervelab.study.schema`."""
    made = schema.schemas()
    assert {path.name for path in (ROOT / schema.FOLDER).iterdir()} == set(made)
    assert all(kept(Path(name.replace(".schema.json", ".yaml"))) == content for name, content in made.items())


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_each_file_names_its_schema_and_fits_it(file: Path):
    first = file.read_text().splitlines()[0]
    assert (file.parent / first.removeprefix("# yaml-language-server: $schema=")).samefile(
        ROOT / schema.FOLDER / schema.schema_name(file)
    )
    assert complaints(file, read_yaml(file)) == []


def test_a_study_in_one_file_fits_too():
    file = ROOT / "tests" / "workflow" / "params.yaml"
    assert complaints(file, read_yaml(file)) == []


@pytest.mark.parametrize(
    ("keys", "value", "fits"),
    [
        (("laptop", "training", "steps"), 900, True),
        (("laptop", "sibling"), {"layers": 12}, True),
        (("laptop", "sibling"), {"heads": 4}, False),
        (("laptop", "training", "steps"), "900", False),
        (("laptop", "training", "stepz"), 900, False),
        (("laptop", "optimisers", "adamw", "lr"), 0, False),
        (("smoke", "optimisers"), {"from": "laptop.optimisers", "adamw": {"lr": 2e-05}}, True),
        (("smoke", "model"), {"from": "laptop.model", "norm": "rms"}, False),
        (("smoke", "from"), 3, False),
    ],
)
def test_what_fits_is_what_may_be_said_in_part(keys: tuple[str, ...], value: Any, fits: bool):
    file = ROOT / "config" / "bases.yaml"
    content = copy.deepcopy(read_yaml(file))
    part = content["bases"]["gpt2-codeparrot"]
    for key in keys[:-1]:
        part = part.setdefault(key, {})
    part[keys[-1]] = value
    assert (complaints(file, content) == []) is fits


@pytest.mark.parametrize(
    ("recipe", "fits"),
    [
        ({"steps": 800, "rates": [{"lr": 0.1}]}, True),
        ({"steps": 800, "rates": [{"placement": ["none"], "lr": 0.1, "steps": 9}]}, True),
        ({"steps": 800, "rates": [{"placement": ["none"]}]}, False),
        ({"steps": 800, "rates": []}, False),
        ({"rates": [{"lr": 0.1}]}, False),
        ({"from": "short", "steps": 800}, False),  # recipes derive from nothing
    ],
)
def test_a_recipe_is_stated_in_full(recipe: dict[str, Any], fits: bool):
    content = read_yaml(PARAMS)
    content["recipes"]["mine"] = recipe
    assert (complaints(PARAMS, content) == []) is fits
