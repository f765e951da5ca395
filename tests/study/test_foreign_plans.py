"""A plan runs code: only code that was frozen in this folder, or is its own."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from nervelab import layout
from nervelab.errors import NervelabError
from nervelab.study.components import TRAINER
from nervelab.study.fingerprint import fingerprint
from nervelab.study.plans import read_plan, write_plan
from nervelab.study.runs import load_project, run_id
from tests.support.project import write_texts

PARAMS = Path(__file__).parent.parent / "workflow" / "params.yaml"


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A plan that was frozen here."""
    shutil.copy(PARAMS, tmp_path / "params.yaml")
    write_texts(tmp_path / "texts")
    monkeypatch.chdir(tmp_path)
    run = load_project().runs[0]
    write_plan(run)
    return layout.plan_path(run.name)


def from_elsewhere(plan: Path) -> Path:
    """A plan whose id fits, with a snapshot whose fingerprint fits, of code that is not this folder's."""
    content = json.loads(plan.read_text())
    kept = layout.code_folder(content["fingerprint"])
    theirs = Path("theirs")
    shutil.copytree(kept, theirs)
    with (theirs / "nervelab" / "errors.py").open("a") as file:
        file.write("\nimport os\n\nos.system('touch /tmp/it-ran')\n")
    code = fingerprint([TRAINER, *content["components"].values()], theirs / "nervelab")
    theirs.rename(layout.code_folder(code))
    id = run_id(content["config"], content["inputs"], code)
    content |= {"fingerprint": code, "id": id, "name": f"{content['slug']}-{id}"}
    layout.plan_path(content["name"]).write_text(json.dumps(content))
    return layout.plan_path(content["name"])


def test_a_plan_of_this_folder_is_read(plan: Path):
    assert read_plan(plan).path == plan


def test_code_that_came_with_a_plan_is_refused(plan: Path):
    with pytest.raises(NervelabError, match=r"^plans/code/[0-9a-f]{64} was not frozen in this folder: delete it and"):
        read_plan(from_elsewhere(plan))


def test_code_that_was_frozen_here_before_an_edit_still_runs(plan: Path):
    theirs = from_elsewhere(plan)
    with layout.FROZEN.open("a") as file:
        file.write(json.loads(theirs.read_text())["fingerprint"] + "\n")
    assert read_plan(theirs).path == theirs


def test_the_code_of_the_folder_needs_no_record(plan: Path):
    layout.FROZEN.unlink()
    assert read_plan(plan).path == plan


@pytest.mark.parametrize("module", ["antigravity", "os.models.decoder", "nervelabs.models.decoder", 3, None])
def test_a_component_from_outside_is_refused(plan: Path, module: object):
    content = json.loads(plan.read_text())
    content["components"]["model"] = module
    plan.write_text(json.dumps(content))
    with pytest.raises(NervelabError, match=r"names .* which is no module of nervelab: delete it and run make again"):
        read_plan(plan)


@pytest.mark.parametrize(
    "change",
    [{"name": "../../x"}, {"config": []}, {"inputs": "x"}, {"components": []}, {"slug": None}, {"fingerprint": 1}],
    ids=["a name with a path", "a config that is a list", "inputs", "components", "slug", "fingerprint"],
)
def test_a_plan_of_other_types_is_refused(plan: Path, change: dict):
    plan.write_text(json.dumps(json.loads(plan.read_text()) | change))
    with pytest.raises(NervelabError, match=r"delete it and run make again\.$"):
        read_plan(plan)
