"""A study on request: made where it is named, absent everywhere else, and never pruned."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from nervelab import layout
from nervelab.errors import NervelabError
from nervelab.stages.prune import unwanted
from nervelab.stages.targets import Targets
from nervelab.study.params import read_params
from nervelab.study.runs import load_project
from tests.support.project_files import PARAMS, copied, saved, written

WIDE = "fidelity-wide"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the project's params.yaml and nothing made yet."""
    copied(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_study_is_made_always_unless_it_says_otherwise():
    studies = read_params(PARAMS).studies
    assert {name for name, study in studies.items() if study.on_request} == {
        WIDE,
        "deep",
        "left-open",
        "measuring-mode",
        "tune",
    }


@pytest.mark.parametrize("scale", ["smoke", "laptop", "paper"])
def test_by_default_it_has_no_runs(scale: str):
    """Also at the scales that its base lacks."""
    assert not any(WIDE in run.studies for run in load_project(PARAMS, scale).runs)


def test_named_it_has_its_own_runs_and_no_others():
    (run,) = load_project(PARAMS, "laptop", WIDE).runs
    assert run.studies == (WIDE,)
    assert run.config.model.width_multiple * run.config.model.d_model == 3072
    narrow = next(run for run in load_project(PARAMS, "laptop").runs if "fidelity" in run.studies)
    shared = set(run.config.measure.estimators) - {"bkq-16x24"}  # at D = 256 that would be no saving
    assert shared < set(narrow.config.measure.estimators)


@pytest.mark.parametrize("scale", ["smoke", "paper"])
def test_named_where_its_base_lacks_the_scale_it_is_one_sentence(scale: str):
    said = rf"bases\.gpt2-125m-shape\.{scale} is missing, but studies\.{WIDE} needs it; add it\.$"
    with pytest.raises(NervelabError, match=said) as caught:
        load_project(PARAMS, scale, WIDE)
    assert "\n" not in str(caught.value)


def test_a_run_that_it_shares_is_listed_as_the_others_alone_unless_it_is_named(tmp_path: Path):
    params = written()
    params["studies"]["again"] = params["studies"]["activation"] | {"on_request": True}
    path = saved(tmp_path, params)
    whole, named = load_project(path, "laptop"), load_project(path, "laptop", "again")
    assert not any("again" in run.studies for run in whole.runs)
    assert {run.name for run in named.runs} == {run.name for run in whole.runs if "activation" in run.studies}
    assert all({"activation", "again"} <= set(run.studies) for run in named.runs)


def test_its_files_are_targets_only_where_it_is_named(here: Path):
    always, named = Targets.of(), Targets.of(only=WIDE)
    assert WIDE not in always.runs_by_study
    assert list(named.runs_by_study) == [WIDE]
    assert named.run_files
    assert not set(named.run_files) & set(always.run_files)
    assert not set(named.run_names) & set(always.run_names)
    assert (str(named.results), str(named.aggregates)) == (
        f"results/only/{WIDE}",
        f"aggregates/laptop-only-{WIDE}",
    )


@pytest.mark.parametrize("axes", [[{"seed": [0]}], [{"seed": [0]}, {"base": ["gpt2-codeparrot", "mine"]}]])
def test_runs_of_a_scale_that_cannot_be_resolved_are_let_be(here: Path, axes: list):
    """What is not theirs, in folders that all scales share, is judged as ever."""
    params = written()
    params["bases"]["mine"] = {scale: {"from": f"gpt2-codeparrot.{scale}"} for scale in ("laptop", "smoke")}
    base = "mine" if len(axes) == 1 else "gpt2-codeparrot"
    params["studies"] = {"mine": {"question": "Which?", "base": base, "axes": axes}}
    shutil.rmtree(here / "config")
    saved(here, params)
    unresolvable = layout.run_folder("paper", "decoder-of-yesterday")
    strays = [layout.run_folder("laptop", "decoder-of-yesterday"), layout.CHECKPOINTS / "decoder-of-yesterday"]
    for folder in (unresolvable, *strays):
        folder.mkdir(parents=True)
    assert unwanted() == sorted(strays)


def test_what_was_made_on_request_is_not_pruned(here: Path):
    (run,) = load_project(only=WIDE).runs
    stray = layout.run_folder("laptop", "decoder-of-yesterday")
    elsewhere = layout.run_folder("paper", run.name)
    kept = (run.folder, layout.CHECKPOINTS / run.name, run.data.folder)
    for folder in (*kept, stray, elsewhere):
        folder.mkdir(parents=True)
    layout.plan_path(run.name).parent.mkdir(parents=True, exist_ok=True)
    layout.plan_path(run.name).write_text("{}")
    assert unwanted() == sorted([stray, elsewhere])
