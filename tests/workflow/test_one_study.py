"""One study alone is trained and rendered beside the whole, which stays as it is."""

from __future__ import annotations

import json
import re

from tests.support.project import Project

STUDIES = """
  wider:
    question: Does one more width do more?
    base: tiny
    axes: [{model.activation: [gelu], model.width_multiple: [2, 4]}]
  later:
    question: And one that nobody asked for yet?
    base: tiny
    axes: [{model.activation: [relu], model.width_multiple: [2]}]
analysis: {"""


def test_one_study_is_trained_and_rendered_alone(built: Project):
    whole, trained = built.results(), built.run_times()
    page = (built.folder / "results" / "index.html").read_bytes()
    built.edit("params.yaml", "\nanalysis: {", STUDIES)

    built.run("snakemake --cores all wider")
    new = set(built.run_times()) - set(trained)
    assert [name.rpartition("-")[0] for name in new] == ["decoder-preln-gelu-2d-adamw-s0"]
    assert trained.items() <= built.run_times().items()
    assert not (built.folder / "results" / "only").exists()

    before = built.run_times()
    assert "results/only/wider/index.html" in built.run("nervelab build --only wider")
    alone = built.folder / "results" / "only" / "wider"
    assert {path.name for path in alone.iterdir() if path.is_file()} == {
        "findings.csv",
        "index.html",
        "metrics.json",
        "provenance.json",
        "report.md",
        "runs.json",
    }
    listed = json.loads((alone / "runs.json").read_text())["runs"]
    assert {run["name"] for run in listed} == {*new, *(name for name in trained if "preln-gelu-4d" in name)}
    assert (built.folder / "aggregates" / "laptop-only-wider" / "runs.parquet").exists()
    assert "nothing to be done" in built.run("nervelab build --only wider")
    assert "there is no study 'nothing'" in built.run("nervelab build --only nothing", fails=True)

    built.run("git checkout -q -- params.yaml")
    assert built.run_times() == before
    kept = {path: content for path, content in built.results().items() if path in whole}
    assert kept == whole
    assert (built.folder / "results" / "index.html").read_bytes() == page
    assert built.snakemake_is_clean()
    assert "nothing to be done" in built.run("nervelab build")
    # to DVC, of all that it tracks, the folder of runs alone has changed: it holds one more
    assert re.findall(r"(?:modified|deleted|new):\s+(\S+)", built.run("dvc status")) == ["runs/laptop"]
