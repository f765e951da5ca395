"""What the page says where one finding compares runs that were trained differently, and that else it says nothing."""

from __future__ import annotations

import csv
import html
import re
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest

from nervelab.analysis.findings.registry import FINDINGS
from nervelab.files import read_json, write_json
from nervelab.report.page import context
from nervelab.report.provenance import mixed_findings
from nervelab.report.report import _templates
from nervelab.study.decisions import Analysis
from tests.support.synthetic_runs import LAPTOP, over_seeds, write_study

HERE = {"torch": "2.9.0", "cuda": None, "device": "a processor"}


@pytest.fixture(scope="module")
def pages(laptop: Path, settings: Analysis):
    """Render both pages, without figures and timings, given the environment of each run."""
    runs = pl.read_parquet(laptop.parent / "aggregates" / "runs.parquet")
    listing = read_json(laptop / "runs.json", "")
    rest = {"figures": [], "timings": [], "logging_step": [], "environment": [], "adoption": None}

    def _pages(environments: dict[str, dict]) -> dict[str, str]:
        content = context(results_dir=laptop, runs=runs, listing=listing, settings=settings, environments=environments)
        templates = _templates()
        return {
            name: templates.get_template(f"{name}.j2").render(content | rest) for name in ("index.html", "report.md")
        }

    return _pages, runs


def id_of(part: str) -> str:
    """The finding of a part of a page."""
    return next(finding.id for finding in FINDINGS if finding.claim in html.unescape(part))


def compared_with(name: str, results: Path) -> set[str]:
    """The findings one of whose effects names the run beside another one, by findings.csv."""
    with (results / "findings.csv").open(encoding="utf-8", newline="") as file:
        of = {}
        for row in csv.DictReader(file):
            of.setdefault(row["id"], set()).update(row["runs"].split(";"))
    return {id for id, names in of.items() if name in names and len(names) > 1}


def test_runs_that_were_trained_alike_change_no_byte_of_the_page(pages):
    render, runs = pages
    assert render(dict.fromkeys(runs["name"], HERE)) == render({})


def test_a_finding_that_compares_unlike_runs_says_so_there_and_in_the_head(pages, laptop: Path):
    render, runs = pages
    environments = dict.fromkeys(runs["name"], HERE)
    (relu,) = runs.filter(placement="preln", activation="relu", seed=1)["name"]
    rendered = render(environments | {relu: HERE | {"torch": "2.8.0"}})
    sentence = "The runs that it compares were trained differently: torch 2.8.0 and 2.9.0."
    for page in rendered.values():
        head, _, body = page.partition("Findings and their rules")
        warned = head[head.index("Runs are compared that were trained by different versions") :]
        assert "gelu-better" in warned
        assert sentence not in head
        # Of each finding what lies between its claim and the next one's.
        by_claim = re.split(r"<h4 id=|^#### ", body, flags=re.MULTILINE)[1:]
        said = {id_of(part) for part in by_claim if sentence in part}
        assert said == compared_with(relu, laptop)


def test_before_anything_is_rendered_the_same_findings_are_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Analysis
):
    monkeypatch.chdir(tmp_path)
    runs_json, runs_root = write_study(tmp_path, over_seeds(*LAPTOP[:2]))
    listed = read_json(runs_json, "")["runs"]
    runs = [
        SimpleNamespace(
            **run | {"off_base": ()}, data=SimpleNamespace(id=""), folder=runs_root / "laptop" / run["name"]
        )
        for run in listed
    ]
    project = SimpleNamespace(scale="laptop", runs=runs, params=SimpleNamespace(analysis=settings))
    monkeypatch.setattr("nervelab.study.index.probes", lambda _: [])
    assert mixed_findings(project) == {}
    path = runs[-1].folder / "environment.json"
    write_json(path, read_json(path, "") | {"torch": "1.0"})
    warned = mixed_findings(project)
    assert warned["gelu-better"] == "torch 1.0 and 2.9.0"
    assert "normfree-gap" not in warned
