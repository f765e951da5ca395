"""What is planned, at every scale, is what is on record: however params.yaml says it."""

from __future__ import annotations

from tests.study.planned_runs import RECORD, ROOT, planned


def test_every_run_is_planned_as_it_is_on_record():
    assert list(planned(ROOT / "params.yaml")) == RECORD.read_text().splitlines()
