"""One study alone: its runs, its folders, its targets; and the names that no study may have."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from nervelab import layout, runfiles
from nervelab.errors import NervelabError
from nervelab.stages.chain import FOLDERS, RENDERINGS
from nervelab.stages.targets import Targets
from nervelab.status.status import Status, as_json, as_text
from nervelab.study.params import RULES, STAGES
from nervelab.study.runs import Project, load_project
from tests.support.project_files import PARAMS, ROOT, copied, saved, written

SHARING = ("width", "placement", "norm-kind", "adafactor")
ASKED = written()["studies"]
STUDIES = tuple(name for name, study in ASKED.items() if not study.get("on_request"))


def names(project: Project) -> list[str]:
    return [run.name for run in project.runs]


def with_study(folder: Path, name: str) -> Path:
    """The project's params.yaml with one more study."""
    params = written()
    params["studies"][name] = params["studies"]["activation"]
    return saved(folder, params)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the project's params.yaml and nothing made yet."""
    copied(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("study", STUDIES)
def test_the_runs_of_one_study_are_those_of_all_that_it_asks_for(study: str):
    whole = load_project(PARAMS, "laptop")
    alone = load_project(PARAMS, "laptop", study)
    assert names(alone) == [run.name for run in whole.runs if study in run.studies]
    assert 0 < len(alone.runs) < len(whole.runs)
    # what the index says of a shared run does not depend on what else is asked for
    assert {run.name: run.studies for run in alone.runs}.items() <= {
        run.name: run.studies for run in whole.runs
    }.items()


def test_together_the_studies_are_the_whole():
    apart = {run.name for study in STUDIES for run in load_project(PARAMS, "laptop", study).runs}
    assert apart == set(names(load_project(PARAMS, "laptop")))


def test_covering_covers_the_one_study():
    runs = load_project(PARAMS, "smoke", "placement").runs
    assert {run.settings["model.placement"] for run in runs} == {"preln", "mixln", "postln", "released"}
    assert len(runs) == 4


def test_an_unknown_study_is_one_sentence_with_those_there_are():
    listed = ", ".join(ASKED)
    with pytest.raises(NervelabError, match=rf"there is no study 'widths'; use one of {listed}\.$"):
        load_project(PARAMS, "laptop", "widths")


def test_one_study_is_rendered_and_gathered_in_folders_of_its_own(here: Path):
    whole, alone = Targets.of(), Targets.of(only="width")
    assert (str(whole.results), str(whole.aggregates)) == ("results", "aggregates/laptop")
    assert (str(alone.results), str(alone.aggregates)) == ("results/only/width", "aggregates/laptop-only-width")
    named = Targets.of("smoke", "width")
    assert (str(named.results), str(named.aggregates)) == ("results/smoke/only/width", "aggregates/smoke-only-width")
    assert alone.options.split() == ["--only", "width"]
    assert named.options.split() == ["--scale", "smoke", "--only", "width"]
    assert whole.options == ""
    stamps = [set(targets.stamps.values()) for targets in (whole, alone, named)]
    assert not stamps[0] & stamps[1]
    assert not stamps[1] & stamps[2]


def test_no_two_folders_of_results_or_of_aggregates_are_one(here: Path):
    asked = [(scale, only) for scale in (None, "smoke", "paper") for only in (None, *STUDIES)]
    targets = [Targets.of(*each) for each in asked]
    assert len({each.results for each in targets}) == len(asked)
    assert len({each.aggregates for each in targets}) == len(asked)


def test_the_runs_of_each_study_are_those_that_it_asks_for(here: Path):
    targets = Targets.of()
    assert list(targets.runs_by_study) == list(STUDIES)
    for study, runs in targets.runs_by_study.items():
        assert [run.name for run in runs] == [run.name for run in load_project(PARAMS, only=study).runs]
    names = {run.name for runs in targets.runs_by_study.values() for run in runs}
    files = {str(layout.run_folder("laptop", name) / file) for name in names for file in runfiles.RUN_FILES}
    assert files == set(targets.run_files)
    assert list(Targets.of(only="width").runs_by_study) == ["width"]


def test_a_shared_run_is_one_of_both_studies(here: Path):
    by_study = Targets.of().runs_by_study
    baseline = next(run for run in load_project(PARAMS).runs if set(run.studies) == set(SHARING))
    for study, runs in by_study.items():
        assert (baseline.name in [run.name for run in runs]) is (study in SHARING)


@pytest.mark.parametrize("study", STUDIES)
def test_the_status_tells_of_one_study_alone(here: Path, study: str):
    status = Status.of("laptop", study)
    told = json.loads(as_json(status))
    assert told["study"] == study
    assert {row["study"] for row in told["runs"]} == {study}
    assert [row["run"] for row in told["runs"]] == names(load_project(PARAMS, "laptop", study))
    headings = re.findall(r"^(\S+): \d+ runs?, ", as_text(status, every=True), re.MULTILINE)
    assert headings == [study]


def test_the_status_lists_every_study_of_a_shared_run(here: Path):
    rows = json.loads(as_json(Status.of("laptop", None)))["runs"]
    assert len(rows) == sum(len(load_project(PARAMS, "laptop", study).runs) for study in STUDIES)


def rules_of_the_workflow() -> set[str]:
    """The names of the rules that the Snakefile and what it includes define."""
    files = (ROOT / "Snakefile", *sorted((ROOT / "workflow" / "rules").glob("*.smk")))
    return {
        name for file in files for name in re.findall(r"^(?:rule|checkpoint) (\w+):", file.read_text(), re.MULTILINE)
    }


def test_the_names_that_no_study_may_have_are_those_of_the_workflows_rules():
    rendered = {name for stage in RENDERINGS for name in (stage.name, stage.target) if name}
    assert set(RULES) == rules_of_the_workflow() | rendered
    assert len(RULES) == len(set(RULES))
    assert set(STAGES) < set(RULES)
    assert ("all", *(stage.target for stage in (*FOLDERS, *RENDERINGS) if stage.target)) == STAGES


@pytest.mark.parametrize("name", RULES)
def test_a_study_with_the_name_of_a_rule_is_refused(tmp_path: Path, name: str):
    with pytest.raises(NervelabError, match=rf"studies\.{name}: a target of the workflow has this name"):
        load_project(with_study(tmp_path, name))


@pytest.mark.parametrize("name", ["Width", "1d", "a/b", "..", "a b", ""])
def test_a_study_whose_name_makes_no_folder_is_refused(tmp_path: Path, name: str):
    with pytest.raises(NervelabError, match=r"studies"):
        load_project(with_study(tmp_path, name))
