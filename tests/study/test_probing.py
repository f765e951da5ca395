"""Which runs are probed, and by what a probe is known."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from nervelab.errors import NervelabError
from nervelab.paper.architectures import BASELINE
from nervelab.study.components import MODEL_FAMILIES, OPTIMISERS, TASKS, TRAINER
from nervelab.study.decisions import Probing
from nervelab.study.fingerprint import ROOT, closure, fingerprint
from nervelab.study.index import listed
from nervelab.study.params import read_params
from nervelab.study.probing import ENTRY, Probe, is_probed, probes
from nervelab.study.runs import Project, load_project
from tests.support.project_files import PARAMS, edited, saved, written


@pytest.fixture(scope="module")
def project() -> Project:
    return load_project(PARAMS, "laptop")


def test_the_rule_takes_the_runs_that_findings_compare(project: Project):
    probed = {probe.run.name for probe in probes(project)}
    assert 100 < len(probed) < len(project.runs)
    for run in project.runs:
        row = {"base": run.settings["base"], "optimiser": run.settings["optimiser"]}
        assert (run.name in probed) is (row == {key: BASELINE[key] for key in row}), run.name


def test_what_a_sweep_trains_at_another_rate_is_not_probed():
    runs = load_project(PARAMS, "laptop", "tune").runs
    off = {run.name for run in runs if "optimiser.lr" in run.off_base}
    assert len(off) > 50
    assert not any(is_probed(run) for run in runs if run.name in off)


def test_what_is_measured_in_another_mode_is_not_probed():
    runs = load_project(PARAMS, "laptop", "measuring-mode").runs
    assert {run.config.measure.mode for run in runs} == {"eval", "train"}
    assert all(is_probed(run) is (run.config.measure.mode == "eval") for run in runs)


def test_the_id_follows_from_run_settings_and_code(project: Project):
    first, second = probes(project)[:2]
    ids = {first.id, second.id}
    ids |= {
        replace(first, settings=Probing(**settings)).id
        for settings in ({"draws": 4, "seed": 0}, {"draws": 3, "seed": 1})
    }
    assert len(ids) == 4
    assert Probe(first.run, first.settings).id == first.id
    assert first.folder.parts == ("probes", "laptop", f"{first.run.name}-{first.id}")


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """A copy of the code."""
    shutil.copytree(ROOT, tmp_path / "nervelab", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "nervelab"


@pytest.mark.parametrize(
    ("old", "new", "counts"),
    [
        ('"""Nulls of', '"""Other nulls of', False),
        ("        inputs_Nd = np", "        # a comment\n        inputs_Nd = np", False),
        ("axis=1).T @ back_kd", "axis=1).T @ back_kd * 2", True),
    ],
)
def test_its_code_counts_and_comments_do_not(code: Path, old: str, new: str, counts: bool):
    path = code / "nulls" / "draws.py"
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))
    assert (fingerprint((ENTRY,), code) != fingerprint((ENTRY,))) is counts


def test_no_trainer_imports_what_probes():
    entries = [TRAINER, *MODEL_FAMILIES.values(), *TASKS.values(), *OPTIMISERS.values()]
    trained = closure(entries)
    own = set(closure((ENTRY,))) - set(trained)
    assert own == {
        *("nervelab.nulls", "nervelab.nulls.draws", "nervelab.nulls.layer", "nervelab.nulls.probe"),
        *("nervelab.probefiles", "nervelab.spectra.derived"),
    }


def test_settings_of_probes_are_in_no_id_of_a_run(tmp_path: Path, project: Project):
    other = load_project(edited(tmp_path, "params.yaml", "draws: 3", "draws: 5"), "laptop")
    assert [run.id for run in other.runs] == [run.id for run in project.runs]
    assert {probe.id for probe in probes(other)}.isdisjoint(probe.id for probe in probes(project))


def test_the_index_lists_the_id_of_each_probe(project: Project):
    by_name = {probe.run.name: probe.id for probe in probes(project)}
    assert {run["name"]: run["probe"] for run in listed(project)} == {
        run.name: by_name.get(run.name) for run in project.runs
    }


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("draws", 0, r"probe\.draws: input should be greater than or equal to 1"),
        ("draws", "3", r"probe\.draws: .*without quotes"),
        ("seed", -1, r"probe\.seed: input should be greater than or equal to 0"),
        ("drawz", 3, r"probe\.drawz: this key is not known"),
    ],
)
def test_mistakes_in_its_settings_are_one_sentence(tmp_path: Path, key: str, value: object, said: str):
    sections = written()
    sections["probe"] = sections["probe"] | {key: value}
    with pytest.raises(NervelabError, match=said):
        read_params(saved(tmp_path, sections))
