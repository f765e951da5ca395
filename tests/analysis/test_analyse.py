from dataclasses import replace

import polars as pl
import pytest
from synthetic_runs import LAPTOP, LAYERS, Planted

from nervelab.analysis.analyse import analyse
from nervelab.analysis.findings.registry import FINDINGS
from nervelab.analysis.tables.registry import TABLES
from nervelab.files import read_json


@pytest.fixture
def write(gather, settings, tmp_path):
    def _write(*runs, out="results"):
        if not (tmp_path / "aggregates").exists():
            gather(runs or LAPTOP)
        return analyse(tmp_path / "aggregates", tmp_path / out, settings)

    return _write


def test_every_registered_table_and_finding_is_written(write, tmp_path):
    written = write()
    assert {str(file.relative_to(tmp_path / "results")) for file in written} == {
        "findings.csv",
        "metrics.json",
        *(f"tables/{table.id}.csv" for table in TABLES),
    }
    findings = pl.read_csv(tmp_path / "results" / "findings.csv")
    assert findings["id"].unique(maintain_order=True).to_list() == [finding.id for finding in FINDINGS]
    assert set(findings["verdict"]) == {"supported"}


def test_writing_again_is_byte_identical(write):
    once, twice = write(out="once"), write(out="twice")
    assert [file.read_bytes() for file in once] == [file.read_bytes() for file in twice]


def test_metrics_hold_what_there_is_to_compare(write, tmp_path):
    write(LAPTOP[0], replace(LAPTOP[1], outcome="diverged"))
    metrics = read_json(tmp_path / "results" / "metrics.json", "")
    assert metrics["scale"] == "laptop"
    assert metrics["eval_loss"] == {"decoder-preln-gelu-4d-adamw-s0": 3.38}
    assert set(metrics["effects"]) == {finding.id for finding in FINDINGS}
    assert set(metrics["effects"]["reinjection-se"]) == {"PreLN GELU"}


def test_runs_that_share_a_slug_are_told_apart_by_name(write, tmp_path):
    longer = Planted(eval_loss=3.2, off_base=(("training.steps", 2000),))
    write(LAPTOP[0], longer, LAPTOP[1])
    losses = read_json(tmp_path / "results" / "metrics.json", "")["eval_loss"]
    assert losses == {LAPTOP[0].name: 3.38, longer.name: 3.2, "decoder-preln-relu-4d-adamw-s0": 3.29}


def test_findings_say_in_columns_what_they_rest_on(write, tmp_path):
    write()
    row = pl.read_csv(tmp_path / "results" / "findings.csv").row(0, named=True)
    known = {"scale": "laptop", "dataset": "python-packages", "run": LAPTOP[0].name, "metric": "spectral entropy"}
    counted = {"confidence": 0.95, "n_checkpoints": 12, "n_layers": LAYERS, "n_seeds": 1}
    assert (known | counted).items() <= row.items()
    assert sum(map(float, row["layers"].split(";"))) / LAYERS == pytest.approx(row["value"])


def test_every_table_names_its_scale(write, tmp_path):
    write()
    for table in TABLES:
        frame = pl.read_csv(tmp_path / "results" / "tables" / f"{table.id}.csv")
        assert set(frame["scale"]) == {"laptop"}
