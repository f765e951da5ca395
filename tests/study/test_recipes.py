"""Recipes: which row counts, what a scale takes of them, and what an axis does to a run that has one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from nervelab.errors import NervelabError
from nervelab.study.expand import Point, expand
from nervelab.study.index import described
from nervelab.study.params import read_params
from nervelab.study.recipes import Recipe
from nervelab.study.runs import Project, load_project
from tests.support.project_files import PARAMS, saved, written

BASE = "gpt2-codeparrot"
STEPS = 777
# Rates that the project has nowhere else.
FIRST, SECOND, THIRD, REST = 0.0123, 0.0234, 0.0345, 0.0456


@pytest.fixture
def params() -> dict[str, Any]:
    """The project's files with one study of one recipe."""
    asked = written()
    asked["recipes"] = {"mine": {"steps": STEPS, "rates": [{"lr": FIRST}]}}
    study = {"question": "Which?", "base": BASE, "recipe": "mine", "axes": [{"seed": [0]}]}
    return asked | {"studies": {"mine": study}}


def points(folder: Path, params: dict[str, Any], scale: str = "laptop") -> list[Point]:
    return list(expand(read_params(saved(folder, params)), scale))


def resolved(folder: Path, params: dict[str, Any], scale: str = "laptop") -> Project:
    return load_project(saved(folder, params), scale)


def rows(params: dict[str, Any], *said: dict[str, Any]) -> None:
    params["recipes"]["mine"]["rates"] = list(said)


def over(params: dict[str, Any], *blocks: dict[str, list[Any]]) -> None:
    params["studies"]["mine"]["axes"] = list(blocks)


def rates(found: list[Point]) -> list[float]:
    return [point.config.optimiser.lr for point in found]


def test_of_several_rows_that_fit_the_last_one_counts(tmp_path: Path, params: dict):
    over(params, {"model.placement": ["preln", "postln"], "model.activation": ["gelu", "relu"]})
    rows(
        params,
        {"placement": ["postln"], "lr": THIRD},
        {"base": [BASE], "lr": FIRST},
        {"placement": ["postln", "mixln"], "activation": ["relu"], "optimiser": ["adamw"], "lr": SECOND},
        {"base": ["llama-71m"], "lr": THIRD},
    )
    assert rates(points(tmp_path, params)) == [FIRST, FIRST, FIRST, SECOND]


def test_a_row_goes_by_the_base_and_by_the_optimiser_that_the_run_has(tmp_path: Path, params: dict):
    over(params, {"base": [BASE, "llama-71m"]}, {"optimiser": ["adafactor"]}, {"base": ["mixer-cifar100"]})
    rows(
        params,
        {"base": [BASE, "llama-71m"], "lr": FIRST},
        {"optimiser": ["adafactor"], "lr": SECOND},
        {"base": ["mixer-cifar100"], "activation": ["gelu"], "lr": THIRD, "steps": 2 * STEPS},
    )
    found = points(tmp_path, params)
    assert rates(found) == [FIRST, FIRST, SECOND, THIRD]
    assert [point.config.training.steps for point in found] == [STEPS, STEPS, STEPS, 2 * STEPS]


def test_a_row_goes_by_the_width_that_the_run_has(tmp_path: Path, params: dict):
    over(params, {"model.width_multiple": [1, 4, 8], "model.placement": ["none"]}, {"model.placement": ["preln"]})
    rows(params, {"lr": FIRST}, {"width_multiple": [8, 4], "placement": ["none"], "lr": SECOND})
    assert rates(points(tmp_path, params)) == [FIRST, SECOND, SECOND, FIRST]


def test_a_row_by_placement_is_not_about_a_model_that_has_none(tmp_path: Path, params: dict):
    over(params, {"base": ["mixer-cifar100"]})
    rows(params, {"placement": ["preln"], "lr": FIRST})
    with pytest.raises(
        NervelabError, match=r"no row is about base mixer-cifar100, activation gelu, width_multiple 4, optimiser adam;"
    ):
        points(tmp_path, params)


def test_the_rate_of_the_rest_is_set_where_it_is_said(tmp_path: Path, params: dict):
    over(params, {"base": ["gpt2-160m-fineweb"], "optimiser": ["muon", "dion"]})
    rows(params, {"lr": FIRST}, {"optimiser": ["dion"], "lr": SECOND, "rest_lr": REST})
    muon, dion = points(tmp_path, params)
    papers = read_params(PARAMS).bases["gpt2-160m-fineweb"]["paper"].optimisers["muon"]
    assert (muon.config.optimiser.lr, muon.config.optimiser.rest.lr) == (FIRST, papers.rest.lr)
    assert (dion.config.optimiser.lr, dion.config.optimiser.rest.lr) == (SECOND, REST)


@pytest.mark.parametrize(
    ("uses", "steps_are_its", "rate_is_its"), [("none", False, False), ("rates", False, True), ("all", True, True)]
)
def test_a_scale_says_what_it_takes(tmp_path: Path, params: dict, uses: str, steps_are_its: bool, rate_is_its: bool):
    params["scales"]["laptop"]["recipes"] = uses
    (point,) = points(tmp_path, params)
    assert (point.config.training.steps == STEPS) is steps_are_its
    assert (point.config.optimiser.lr == FIRST) is rate_is_its
    assert point.off_base == ()


def test_at_the_papers_scale_the_base_says_it_all_and_no_row_need_fit(tmp_path: Path, params: dict):
    rows(params, {"base": ["llama-71m"], "lr": FIRST})
    (point,) = points(tmp_path, params, "paper")
    papers = read_params(PARAMS).bases[BASE]["paper"]
    assert point.config.training == papers.training
    assert point.config.optimiser == papers.optimisers[papers.optimiser]


def test_a_study_without_a_recipe_has_what_its_base_says(tmp_path: Path, params: dict):
    del params["studies"]["mine"]["recipe"]
    over(params, {"seed": [0]}, {"recipe": ["mine"]})
    without, by = points(tmp_path, params)
    papers = read_params(PARAMS).bases[BASE]["paper"]
    assert (without.config.training.steps, without.config.optimiser.lr) == (
        papers.training.steps,
        papers.optimisers["adamw"].lr,
    )
    assert (without.recipes, by.recipes) == ((), ("mine",))
    assert by.config.training.steps == STEPS


def test_an_axis_wins_over_the_recipe_and_is_off_base_where_it_says_otherwise(tmp_path: Path, params: dict):
    over(params, {"optimiser.lr": [FIRST, SECOND], "training.steps": [STEPS, STEPS + 1]})
    found = points(tmp_path, params)
    assert [(*rates([point]), point.config.training.steps) for point in found] == [
        (FIRST, STEPS),
        (FIRST, STEPS + 1),
        (SECOND, STEPS),
        (SECOND, STEPS + 1),
    ]
    assert [point.off_base for point in found] == [
        (),
        ("training.steps",),
        ("optimiser.lr",),
        ("optimiser.lr", "training.steps"),
    ]


def test_a_run_of_another_optimiser_is_held_against_the_rate_that_the_recipe_has_for_it(tmp_path: Path, params: dict):
    over(params, {"optimiser": ["adafactor"], "optimiser.lr": [FIRST, SECOND]})
    rows(params, {"optimiser": ["adamw"], "lr": FIRST}, {"optimiser": ["adafactor"], "lr": SECOND})
    assert [point.off_base for point in points(tmp_path, params)] == [("optimiser", "optimiser.lr"), ("optimiser",)]


def test_the_recipe_can_be_an_axis_and_is_no_setting(tmp_path: Path, params: dict):
    params["recipes"]["yours"] = {"steps": 2 * STEPS, "rates": [{"lr": SECOND}]}
    over(params, {"recipe": ["yours", "mine"]})
    found = points(tmp_path, params)
    assert [(*rates([point]), point.config.training.steps) for point in found] == [(SECOND, 2 * STEPS), (FIRST, STEPS)]
    assert [point.recipes for point in found] == [("yours",), ("mine",)]
    assert [point.off_base for point in found] == [(), ()]
    assert not any("recipe" in point.values for point in found)


def test_a_run_that_several_recipes_make_alike_is_one_and_of_all_of_them(tmp_path: Path, params: dict):
    params["recipes"]["yours"] = {"steps": 2 * STEPS, "rates": [{"lr": FIRST}]}
    params["recipes"]["theirs"] = {"steps": 2 * STEPS, "rates": [{"lr": SECOND}]}
    params["scales"]["smoke"]["runs"] = "all"
    over(params, {"recipe": ["mine", "yours"]})
    assert [run.recipes for run in resolved(tmp_path, params, "smoke").runs] == [("mine", "yours")]
    assert [run.recipes for run in resolved(tmp_path, params, "laptop").runs] == [("mine",), ("yours",)]
    (papers,) = resolved(tmp_path, params, "paper").runs
    assert papers.recipes == ("mine", "yours", "theirs")
    assert described(papers)["recipes"] == ["mine", "yours", "theirs"]


@pytest.mark.parametrize("scale", ["smoke", "laptop", "paper"])
def test_the_name_of_a_recipe_is_in_no_id(tmp_path: Path, params: dict, scale: str):
    before = [run.name for run in resolved(tmp_path, params, scale).runs]
    params["recipes"]["renamed"] = params["recipes"].pop("mine")
    params["studies"]["mine"]["recipe"] = "renamed"
    after = resolved(tmp_path, params, scale).runs
    assert [run.name for run in after] == before
    assert [run.recipes for run in after] == [("renamed",)]


def test_its_steps_and_rates_are_in_the_ids_below_the_papers_scale(tmp_path: Path, params: dict):
    def names(scale: str) -> list[str]:
        return [run.name for run in resolved(tmp_path, params, scale).runs]

    before = {scale: names(scale) for scale in ("laptop", "paper")}
    params["recipes"]["mine"]["steps"] += 1
    longer = names("laptop")
    rows(params, {"lr": SECOND})
    assert len({*before["laptop"], *longer, *names("laptop")}) == 3
    assert names("paper") == before["paper"]


@pytest.mark.parametrize("scale", ["laptop", "paper"])
def test_a_recipe_that_is_not_there_is_refused_at_every_scale(tmp_path: Path, params: dict, scale: str):
    over(params, {"recipe": ["yours"]})
    with pytest.raises(
        NervelabError, match=r"studies\.mine\.axes\.0\.recipe: there is no recipe 'yours' \(there is mine\)"
    ):
        points(tmp_path, params, scale)


def test_a_base_that_is_no_sibling_may_state_what_a_recipe_decides(tmp_path: Path, params: dict):
    """It has to, if it derives from nothing."""
    params["studies"]["mine"]["base"] = "gpt2-125m-shape"
    (point,) = points(tmp_path, params)
    stated = written()["bases"]["gpt2-125m-shape"]["laptop"]["training"]["steps"]
    assert (stated, point.config.training.steps) != (STEPS, stated)
    assert point.config.training.steps == STEPS


@pytest.mark.parametrize(
    ("scale", "place", "value"),
    [
        ("laptop", ("training", "steps"), {"steps": 5}),
        ("laptop", ("optimisers", "adamw", "lr"), {"adamw": {"lr": 0.5}}),
        ("smoke", ("optimisers", "adamw", "lr"), {"adamw": {"lr": 0.5}}),
    ],
)
def test_what_a_sibling_says_in_vain_is_refused(tmp_path: Path, params: dict, scale: str, place: tuple, value: dict):
    stated = params["bases"][BASE][scale]
    stated[place[0]] = {**stated.get(place[0], {}), **value}
    key = re.escape(".".join(place))
    said = rf"bases\.{BASE}\.{scale}\.{key}: the recipe 'mine' decides this; say it in recipes\.mine"
    with pytest.raises(NervelabError, match=said):
        points(tmp_path, params, scale)


def test_steps_of_the_smoke_scale_are_its_own_where_it_takes_rates_alone(tmp_path: Path, params: dict):
    params["bases"][BASE]["smoke"]["training"] = {"steps": 99}
    (point,) = points(tmp_path, params, "smoke")
    assert (point.config.training.steps, point.config.optimiser.lr) == (99, FIRST)


def test_a_null_optimiser_on_an_axis_is_refused(tmp_path: Path, params: dict):
    over(params, {"optimiser": [None]})
    with pytest.raises(NervelabError, match=r"studies\.mine\.axes\.0\.optimiser: None is not defined"):
        points(tmp_path, params)


def test_every_study_on_request_finds_its_rows():
    """Its base lacks other scales, perhaps; at the laptop's it can be asked for."""
    params = read_params(PARAMS)
    asked = [name for name, study in params.studies.items() if study.on_request]
    assert asked
    for name in asked:
        assert load_project(PARAMS, "laptop", name, params).runs


def test_what_a_recipe_decides_is_what_its_row_says():
    recipe = Recipe(steps=STEPS, rates=[{"lr": FIRST}, {"base": ["b"], "lr": SECOND, "rest_lr": REST, "steps": 5}])
    run = {"base": "a", "placement": "preln", "activation": "gelu", "optimiser": "adamw"}
    assert recipe.row(run) == 0
    assert recipe.row(run | {"base": "b"}) == 1
    assert recipe.decides(0, "all") == {"optimiser.lr": FIRST, "training.steps": STEPS}
    assert recipe.decides(1, "all") == {"optimiser.lr": SECOND, "optimiser.rest.lr": REST, "training.steps": 5}
    assert recipe.decides(1, "rates") == {"optimiser.lr": SECOND, "optimiser.rest.lr": REST}
