"""What `dvc exp run -S` sets takes effect, whichever number it is: tried by DVC's own writer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dvc.exceptions import InvalidArgumentError
from dvc.utils.hydra import apply_overrides

from nervelab import layout
from nervelab.errors import NervelabError
from nervelab.study.expand import Resolver
from nervelab.study.params import Params, params_files, read_params
from nervelab.study.siblings import DERIVED
from nervelab.study.yamlfile import read_yaml
from tests.support.project_files import PARAMS, ROOT, copied

SMALL = ROOT / "tests" / "workflow" / "params.yaml"
# These must fit each other, and do when all are doubled.
DOUBLED = ("d_model", "heads", "context", "eval_tokens", "tokens", "image", "patch", "size")
Keys = tuple[str | int, ...]


def numbers(content: Any, keys: Keys = ()) -> Iterator[tuple[Keys, int | float]]:
    """Every number under a key, in the order of the file; what stands in a list of mappings has its place for a key."""
    if isinstance(content, list) and all(isinstance(each, dict) for each in content):
        content = dict(enumerate(content))
    if isinstance(content, dict):
        for key, value in content.items():
            yield from numbers(value, (*keys, key))
    elif isinstance(content, int | float) and not isinstance(content, bool):
        yield keys, content


def at(content: Any, keys: Keys) -> Any:
    for key in keys:
        content = content[key]
    return content


def another(keys: Keys, value: int | float, turn: int) -> int | float:
    """A number that is allowed in the place of another, and is no other key's."""
    if keys[-1] in DOUBLED:
        return 2 * value
    if isinstance(value, int):
        return 2 * value + 1 + turn % 7
    return round(value * (2 if keys[-1] == "clip" else 0.5) + turn * 1e-7, 12)


def can_be_named(keys: Keys) -> bool:
    """DVC splits names at dots, so that a key with a dot in it cannot be named."""
    return not any("." in str(key) for key in keys)


def dotted(keys: Keys) -> str:
    return ".".join(map(str, keys))


def override(file: Path, *said: str) -> None:
    apply_overrides(file, list(said))


def dumped(path: Path) -> dict[str, Any]:
    return read_params(path).model_dump(mode="json")


@pytest.fixture(scope="module")
def overridden(tmp_path_factory: pytest.TempPathFactory) -> tuple[Params, dict[Keys, int | float]]:
    """The project's files with every number that they hold set to another one, and these numbers by their keys."""
    folder = tmp_path_factory.mktemp("overridden")
    path = copied(folder)
    asked = {}
    for file in params_files(path):
        found = [(keys, value) for keys, value in numbers(read_yaml(file)) if can_be_named(keys)]
        mine = {keys: another(keys, value, len(asked) + turn) for turn, (keys, value) in enumerate(found)}
        override(file, *(f"{dotted(keys)}={value!r}" for keys, value in mine.items()))
        asked |= mine
    return read_params(path), asked


def test_every_number_of_every_file_takes_effect(overridden):
    params, asked = overridden
    resolved = params.model_dump(mode="json")
    assert len(asked) > 220
    assert {keys[:2] for keys in asked if keys[0] == "recipes"} == {("recipes", each) for each in params.recipes}
    assert {keys: at(resolved, keys) for keys in asked} == asked


def test_in_the_runs_too(overridden):
    params, asked = overridden
    compared = 0
    for (section, *keys), value in asked.items():
        if section != "bases":
            continue
        name, scale, *inner = keys
        base = params.bases[name][scale]
        optimiser = inner.pop(1) if inner[0] == "optimisers" else base.optimiser
        config = Resolver(params, name, base, ("bases", name, scale), ()).standard(optimiser).config
        inner[0] = {"optimisers": "optimiser", "sibling": "model"}.get(inner[0], inner[0])
        assert at(config.model_dump(mode="json"), tuple(inner)) == value
        compared += 1
    assert compared > 140


def test_what_a_scale_changes_is_changed_in_its_bases(overridden):
    params, asked = overridden
    changed = {keys: value for keys, value in asked.items() if keys[0] == "scales"}
    assert {keys[1] for keys in changed} == {"smoke", "laptop"}
    for (_, scale, _, *inner), value in changed.items():
        assert at(params.bases["gpt2-160m-fineweb"][scale].model_dump(), tuple(inner)) == value


def test_comments_and_the_names_of_what_is_derived_stay(tmp_path: Path):
    path = copied(tmp_path)
    file = tmp_path / "config" / "bases.yaml"
    before = file.read_text()
    override(file, "bases.gpt2-openwebtext.paper.optimisers.adamw.lr=2e-5")
    after = file.read_text()
    assert "lr: 2e-05" in after
    assert before.count("#") == after.count("#")
    assert before.count("from:") == after.count("from:")
    assert read_params(path).bases["gpt2-openwebtext"]["smoke"].optimisers["adamw"].lr == 2e-5


@pytest.mark.parametrize("keys", [keys for keys, _ in numbers(read_yaml(SMALL))], ids=dotted)
def test_one_number_alone_changes_what_derives_from_it_and_nothing_else(tmp_path: Path, keys: Keys):
    path = tmp_path / "params.yaml"
    path.write_bytes(SMALL.read_bytes())
    before = dict(numbers(dumped(path)))
    value = another(keys, before[keys], 1)
    override(path, f"{dotted(keys)}={value!r}")
    try:
        after = dict(numbers(dumped(path)))
    except NervelabError:  # refused: it does not fit the others
        assert keys[-1] in DOUBLED
        return
    changed = {each for each in before if before[each] != after[each]}
    derived = ("bases", "tiny", "smoke", *keys[3:])
    assert changed == ({keys, derived} if keys[0] == "bases" else {keys})
    assert {after[each] for each in changed} == {value}


def test_an_inherited_key_is_set_with_a_plus(tmp_path: Path):
    path = copied(tmp_path)
    file = tmp_path / layout.PARAMS.parent / "config" / "bases.yaml"
    key = "bases.gpt2-openwebtext.laptop.optimisers.adamw.eps"
    before = read_params(path).bases
    with pytest.raises(InvalidArgumentError):
        override(file, f"{key}=2e-5")
    override(file, f"+{key}=2e-5")
    bases = read_params(path).bases
    assert [bases["gpt2-openwebtext"][scale].optimisers["adamw"].eps for scale in ("laptop", "smoke")] == [2e-5] * 2
    assert bases["gpt2-openwebtext"]["paper"] == before["gpt2-openwebtext"]["paper"]
    assert bases["gpt2-codeparrot"] == before["gpt2-codeparrot"]


def test_a_number_of_a_row_of_a_recipe_is_set_by_the_place_of_the_row(tmp_path: Path):
    path = copied(tmp_path)
    override(path, "recipes.short.rates.1.lr=2e-5")
    before, after = (read_params(each).recipes["short"].rates for each in (PARAMS, path))
    assert [row.lr for row in after] == [before[0].lr, 2e-5, *(row.lr for row in before[2:])]


@pytest.mark.parametrize("text", ["1e-05", "1e-3", "2E5", "1.5e-3", "+1.0", "-.5", "1.", "0.1", "12", "-3", "0"])
def test_numbers_are_those_that_dvc_reads(tmp_path: Path, text: str):
    from dvc.utils.serialize import load_yaml

    path = tmp_path / "numbers.yaml"
    path.write_text(f"number: {text}\n")
    number = read_yaml(path)["number"]
    assert number == load_yaml(path)["number"] == float(text)


@pytest.mark.slow
@pytest.mark.parametrize("file", params_files(PARAMS), ids=lambda file: file.name)
def test_each_number_of_the_project_alone(tmp_path: Path, file: Path):
    """Set alone it is in the resolved content, in what derives from it, and nowhere else, or it is refused."""
    before = dict(numbers(read_params(PARAMS).model_dump(mode="json")))
    for keys in [keys for keys, _ in numbers(read_yaml(file))]:
        path = copied(tmp_path)
        value = another(keys, before[keys], 1)
        said = f"{dotted(keys)}={value!r}"
        if not can_be_named(keys):
            with pytest.raises(Exception, match=r"set-param|override"):
                override(tmp_path / file.relative_to(ROOT), said)
            continue
        override(tmp_path / file.relative_to(ROOT), said)
        try:
            after = dict(numbers(dumped(path)))
        except NervelabError:
            continue
        changed = {each for each in before if before[each] != after[each]}
        assert keys in changed
        by_the_rule = {each for each in changed if _is_derived(each)}  # of siblings of the model in question
        assert {after[each] for each in changed - by_the_rule} == {value}
        assert {each[-1] for each in changed - by_the_rule} == {keys[-1]}
        assert not by_the_rule or keys[-1] in DERIVED


def _is_derived(keys: Keys) -> bool:
    """Whether it lies in a model below the paper's scale and is one of those that the rule for siblings sets."""
    return len(keys) == 5 and keys[0] == "bases" and keys[2] != "paper" and keys[3] == "model" and keys[4] in DERIVED
