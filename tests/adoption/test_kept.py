"""Which kept runs come into question, and by which components a replay speaks for others."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pytest

from nervelab.adoption import kept
from nervelab.adoption.adopt import refuse_edited_code
from nervelab.adoption.evidence import adoptions
from nervelab.adoption.kept import as_today, components
from nervelab.errors import NervelabError
from nervelab.files import write_json
from nervelab.study.config import Measure, RunConfig
from nervelab.study.config.record import AS_BEFORE
from nervelab.study.plans import content_of
from nervelab.study.runs import covering, load_project

ROOT = Path(__file__).resolve().parents[2]


class LaterMeasure(Measure):
    """What measuring may come to be set by."""

    harmless: Annotated[int, AS_BEFORE] = 1


class OtherMeasure(Measure):
    """A setting whose default is not said to mean what was done before."""

    telling: int = 1


def with_measure(record: type[Measure]) -> type[RunConfig]:
    class Later(RunConfig):
        measure: record

    return Later


@pytest.fixture
def config(smoke_config: RunConfig) -> dict:
    return smoke_config.model_dump(mode="json")


def test_a_configuration_of_today_lacks_nothing(config: dict):
    assert as_today(config) == (config, {})


def test_a_new_key_declared_to_mean_as_before_is_added_and_said(config: dict, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(kept, "RunConfig", with_measure(LaterMeasure))
    today, added = as_today(config)
    assert added == {"measure.harmless": 1}
    assert today == config | {"measure": config["measure"] | {"harmless": 1}}


def test_a_new_key_without_that_declaration_is_not(config: dict, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(kept, "RunConfig", with_measure(OtherMeasure))
    assert as_today(config) is None


def test_a_configuration_that_cannot_be_read_today_is_left_out(config: dict):
    assert as_today(config | {"gone": 1}) is None
    assert as_today(config | {"measure": config["measure"] | {"chunk": "eight"}}) is None


def test_the_covering_set_shows_every_component_of_every_run(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(ROOT)
    runs = load_project(scale="laptop").runs
    chosen = covering(runs, components)
    assert set().union(*map(components, runs)) == set().union(*map(components, chosen))
    assert len(chosen) < len(runs) / 4
    ours = set().union(*map(components, chosen))
    assert {"optimiser.name dion", "measure.estimators lanczos-1/6-tail", "training.augmentation cutmix"} <= ours


def test_a_run_whose_id_does_not_follow_from_its_content_is_left_out(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(ROOT)
    run = load_project(scale="smoke", only="activation").runs[0]
    recorded = content_of(run)
    assert kept._is_itself(recorded)
    assert not kept._is_itself(recorded | {"fingerprint": "of other code"})
    assert not kept._is_itself(recorded | {"config": recorded["config"] | {"seed": 77}})
    assert not kept._is_itself({"id": run.id, "files": {}})


def test_code_that_was_edited_since_the_runs_were_named_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(ROOT)
    run = load_project(scale="smoke", only="activation").runs[0]
    refuse_edited_code([run])
    monkeypatch.setitem(run.__dict__, "fingerprint", "of the code before the edit")
    with pytest.raises(NervelabError, match="was edited"):
        refuse_edited_code([run])


def test_an_adoption_that_run_json_does_not_vouch_for_is_of_a_run_that_lay_there_before(tmp_path: Path):
    write_json(tmp_path / "adoption.json", {"adoptions": [{"to": {}}]})
    write_json(tmp_path / "run.json", {"files": {}})
    assert adoptions(tmp_path) == []
    write_json(tmp_path / "run.json", {"files": {"adoption.json": "its sha256"}})
    assert adoptions(tmp_path) == [{"to": {}}]
