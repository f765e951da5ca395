import re
import shutil
from html.parser import HTMLParser
from xml.etree import ElementTree

import polars as pl
import pytest
from synthetic_runs import LAPTOP

from nervelab.analysis.findings.registry import FINDINGS
from nervelab.analysis.tables.registry import TABLES
from nervelab.analysis.words import facts, filled
from nervelab.errors import NervelabError
from nervelab.files import read_json, write_json
from nervelab.report.figures.placement import PLACEMENT
from nervelab.report.figures.registry import FIGURES
from nervelab.report.report import render

_VOID = {"meta", "link", "img", "br", "hr", "input", "source"}
_TIMINGS = re.compile(r"<!-- timings: begin -->.*<!-- timings: end -->", re.DOTALL)


class _Page(HTMLParser):
    """Checks that tags nest, and keeps every attribute and the text."""

    def __init__(self, text):
        super().__init__()
        self.open, self.attributes, self.ids, self.words = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.attributes += attributes
        self.ids += [value for name, value in attributes if name == "id"]
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in _VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="session")
def page(laptop):
    return _Page((laptop / "index.html").read_text())


def _said(text, known):
    """Words as `_Page.text` holds them: thin spaces are spaces there."""
    return " ".join(filled(text, known).split())


@pytest.fixture(scope="session")
def known(laptop, settings):
    return facts(pl.read_parquet(laptop.parent / "aggregates" / "runs.parquet"), settings)


@pytest.fixture(scope="session")
def partial_page(partial):
    return _Page((partial / "index.html").read_text())


def test_everything_registered_is_on_the_page(page, known):
    for part in (*FINDINGS, *TABLES, *FIGURES):
        assert part.id in page.ids
    for finding in FINDINGS:
        assert page.text.count(_said(finding.rule.text, known)) == 1
        assert _said(finding.rule.caveat, known) in page.text
    for part in (*TABLES, *FIGURES):
        assert _said(part.caption, known) in page.text


def test_everything_registered_is_in_the_markdown(laptop, known):
    text = (laptop / "report.md").read_text()
    for part in (*TABLES, *FIGURES):
        assert part.title in text
    assert all(text.count(filled(finding.rule.text, known)) == 1 for finding in FINDINGS)
    for _, target in re.findall(r"\[([^]]*)\]\(([^)]*)\)", text):
        assert (laptop / target).is_file()


def test_markdown_tables_have_as_many_cells_in_every_row(laptop):
    blocks = re.findall(r"(?:^\|.*\n)+", (laptop / "report.md").read_text(), re.MULTILINE)
    assert len(blocks) == len(FINDINGS) + len(TABLES) + 2  # the list of runs and the timings
    for block in blocks:
        assert len({line.count("|") for line in block.splitlines()}) == 1


def test_the_page_holds_all_it_needs(laptop, page):
    for name, value in page.attributes:
        if name in {"src", "href", "xlink:href"}:
            assert value.startswith(("#", "data:image/png;base64,")), value
    style = re.search(r"<style>(.*?)</style>", (laptop / "index.html").read_text(), re.DOTALL).group(1)
    assert "url(" not in style
    assert "@import" not in style


def test_ids_are_unique_and_references_resolve(laptop, page):
    assert len(page.ids) == len(set(page.ids))
    text = (laptop / "index.html").read_text()
    references = re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', text)
    assert references
    assert {first or second for first, second in references} <= set(page.ids)


def test_verdicts_effects_and_limits_are_in_the_summary(laptop, page):
    text = page.text
    summary = text[text.index("What was found") : text.index("What was trained and measured")]
    assert summary.count("supported GELU and ReLU") == len(FINDINGS)
    effect = pl.read_csv(laptop / "findings.csv").row(0, named=True)
    assert f"PreLN GELU: +{effect['value']:.3g} nats" in summary
    assert "a laptop-scale verdict says nothing about the paper's scale" in summary
    assert "a stand-in for CodeParrot" in summary
    assert "prototypes before these rules were written" in text
    assert "sqlalchemy==2.1.9: MIT; sympy==1.14.0: BSD-3-Clause" in text


def test_table_2_shows_both_numbers(page):
    assert "PreLN GELU 2.714 29.37 1 2 3.380 finished" in page.text
    assert "PreLN ReLU below PreLN GELU by 0.090 nats" in page.text


def test_the_page_says_how_far_it_reaches(page):
    assert "3 of NerVE's findings, from section 3.1, are decided here" in page.text
    assert "Verdicts rest on one seed of each run named." in page.text
    assert page.text.count("Of several seeds of one run the lowest is shown.") > 2
    assert "one share for all runs, chosen once, with prototypes at laptop scale in view" in page.text


def test_choices_are_visible(page):
    assert "takes the residual of attention from the normalised stream" in page.text
    assert "a fixed held-out probe, where the paper takes the training batch" in page.text
    assert "Norm-free models keep the LayerNorm before the head" in page.text


def test_a_revised_rule_is_listed_for_its_findings(page):
    assert "reinjection-se , reinjection-pr , flattening-eee : this rule replaced" in page.text


def test_every_run_is_listed_with_its_outcome(page, partial_page):
    for run in LAPTOP:
        assert run.name in page.text
    assert "7 runs, 7 finished." in page.text
    assert "3 runs, 1 finished, 2 failed" in " ".join(partial_page.text.replace(" ,", ",").split())
    assert "diverged at step 429" in partial_page.text


def test_absent_and_failed_runs_are_shown_as_that(partial, partial_page):
    assert "PreLN ReLU: not run at this scale" in partial_page.text
    assert "PreLN GELU: stuck at step 429" in partial_page.text
    assert "norm-free ReLU 2.988 – – – – not run at this scale" in partial_page.text
    assert "its verdicts claim nothing" in partial_page.text
    assert sorted(path.stem for path in (partial / "figures").iterdir()) == [f.id for f in FIGURES]


@pytest.fixture
def analysed(laptop, tmp_path):
    """The folder of a copy of results/ and aggregates/, not yet rendered, to change at will."""
    for folder in ("results/tables", "aggregates"):
        shutil.copytree(laptop.parent / folder, tmp_path / folder)
    for file in ("results/findings.csv", "results/runs.json"):
        shutil.copy(laptop.parent / file, tmp_path / file)
    return tmp_path


@pytest.fixture
def render_again(analysed, settings):
    def _render(provenance=None):
        return render(
            results_dir=analysed / "results",
            aggregates_dir=analysed / "aggregates",
            runs_json=analysed / "results" / "runs.json",
            settings=settings,
            provenance=provenance,
        )

    return _render


def test_rendering_again_is_byte_identical(laptop, analysed, render_again):
    written = [file.relative_to(analysed / "results") for file in render_again()]
    assert {str(file) for file in written} == {
        "index.html",
        "report.md",
        *(f"figures/{figure.id}.svg" for figure in FIGURES),
    }
    for file in written:
        assert (analysed / "results" / file).read_bytes() == (laptop / file).read_bytes()


def test_only_the_timings_block_depends_on_timings_and_versions(laptop, analysed, render_again):
    timing = analysed / "aggregates" / "timing.parquet"
    pl.read_parquet(timing).with_columns(pl.col("train_seconds") * 3).write_parquet(timing)
    provenance = analysed / "provenance.json"
    content = {"versions": {"torch": "2.14.1"}, "hardware": {"cpu": ["a|b", "c"]}, "runs": {"x": "y"}}
    content |= {"git": {"commit": "0123abcd", "changed": False}, "params_sha256": "feed"}
    write_json(provenance, content)
    render_again(provenance)
    for name in ("index.html", "report.md"):
        before, after = (laptop / name).read_text(), (analysed / "results" / name).read_text()
        assert after != before
        assert _TIMINGS.sub("", after) == _TIMINGS.sub("", before)
        assert "versions.torch" in after
        assert "runs.x" not in after
        assert "0123abcd" in after
        assert "feed" in after
    assert r"a\|b, c" in (analysed / "results" / "report.md").read_text()


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        ({}, "Not recorded."),
        ({"files": {}}, "files: whether it is the paper's own data is not recorded"),
        ({"files": {"corpus": {"stands_for": None}}}, "files: no stand-in: the data set itself"),
    ],
)
def test_facts_about_the_data_may_be_absent(analysed, render_again, data, shown):
    runs_json = analysed / "results" / "runs.json"
    write_json(runs_json, read_json(runs_json, "") | {"data": data})
    render_again()
    assert shown in _Page((analysed / "results" / "index.html").read_text()).text


@pytest.mark.parametrize("file", ["findings.csv", f"tables/{TABLES[0].id}.csv"])
def test_a_missing_table_is_named(analysed, render_again, file):
    (analysed / "results" / file).unlink()
    with pytest.raises(NervelabError, match=f"{file} is missing: run make again"):
        render_again()


def test_findings_that_lack_one_are_refused(analysed, render_again):
    path = analysed / "results" / "findings.csv"
    pl.read_csv(path).filter(pl.col("id") != FINDINGS[0].id).write_csv(path)
    with pytest.raises(NervelabError, match=f"lacks the finding {FINDINGS[0].id}"):
        render_again()


def test_svg_files_parse_and_carry_no_date_or_machine(laptop):
    for figure in FIGURES:
        text = (laptop / "figures" / f"{figure.id}.svg").read_text()
        ElementTree.fromstring(text)
        assert "<metadata>" not in text
        assert ("<image" in text) == (figure not in PLACEMENT)  # contours and maps, rasterised
        assert len(text) < 250_000
