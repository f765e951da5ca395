"""What is edited while trainings wait in the queue does not reach them."""

from __future__ import annotations

import time

import pytest

from nervelab.study.runs import run_id
from tests.support.project import Project


@pytest.mark.slow
def test_params_and_code_edited_while_jobs_are_queued(built: Project, tmp_path):
    undisturbed = built.copy(tmp_path / "undisturbed")
    old = set(built.runs())
    for project in (built, undisturbed):
        project.edit("params.yaml", "lr: 2.0e-2", "lr: 1.0e-2")
    build = built.start("snakemake --cores 1")
    end = time.monotonic() + 120
    while len(set(built.runs()) - old) < 1:
        assert build.poll() is None
        assert time.monotonic() < end
        time.sleep(0.02)
    assert len(set(built.runs()) - old) < 4, "all trainings had ended before the edit"
    built.edit("params.yaml", "lr: 1.0e-2", "lr: 7.0e-2")
    built.edit("src/nervelab/models/ffn.py", '"gelu": nn.GELU', '"gelu": nn.SiLU')
    build.wait(timeout=240)

    new = {name: run for name, run in built.runs().items() if name not in old}
    assert len(new) == 4
    for name, run in new.items():
        assert run["config"]["optimiser"]["lr"] == 1.0e-2
        assert name.endswith(run_id(run["config"], run["inputs"], run["fingerprint"]))
    undisturbed.run("nervelab build trained")
    assert {name: undisturbed.runs()[name] for name in new} == new


def test_a_plan_that_was_edited_is_refused(built: Project):
    plan = next((built.folder / "plans").glob("*.json"))
    shown = plan.relative_to(built.folder).as_posix()
    plan.write_text(plan.read_text().replace('"lr": 0.02', '"lr": 0.3'))
    assert f"{shown} was changed after it was written" in built.run(
        f"nervelab train {shown} --runs runs/here", fails=True
    )


def test_a_snapshot_that_was_edited_is_refused(built: Project):
    plan = next((built.folder / "plans").glob("*.json"))
    shown = plan.relative_to(built.folder).as_posix()
    for module in (built.folder / "plans" / "code").glob("*/nervelab/models/ffn.py"):
        module.write_text(module.read_text().replace("nn.GELU", "nn.SiLU"))
    said = built.run(f"nervelab train {shown} --runs runs/here", fails=True)
    assert "is not the code of" in said
    assert said.count("\n") == 1
