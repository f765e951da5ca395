import re
import shutil
from html.parser import HTMLParser
from xml.etree import ElementTree

import polars as pl
import pytest

from nervelab.analysis.findings.finding import VERDICTS, WORDS
from nervelab.analysis.findings.registry import FINDINGS
from nervelab.analysis.tables.registry import TABLES
from nervelab.errors import NervelabError
from nervelab.files import read_json, write_json
from nervelab.report.figures.estimators import ESTIMATORS
from nervelab.report.figures.placement import PLACEMENT
from nervelab.report.figures.registry import FIGURES
from nervelab.report.page import _revisions
from nervelab.report.report import render
from nervelab.words.facts import facts, filled
from nervelab.words.numbers import with_minus
from nervelab.words.runs import named, run_named
from tests.support.synthetic_runs import SEEDED

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
    return " ".join(with_minus(filled(text, known)).split())


@pytest.fixture(scope="session")
def known(laptop, settings):
    return facts(pl.read_parquet(laptop.parent / "aggregates" / "runs.parquet"), settings)


@pytest.fixture(scope="session")
def partial_page(partial):
    return _Page((partial / "index.html").read_text())


_DATA_TABLES = [table for table in TABLES if not table.columns]
_SHOWN_TABLES = [table for table in TABLES if table.columns]


def test_everything_registered_is_on_the_page(page, known):
    for part in (*FINDINGS, *_SHOWN_TABLES, *FIGURES):
        assert part.id in page.ids
    for finding in FINDINGS:
        assert page.text.count(_said(finding.rule, known)) == 1
        assert _said(finding.caveat, known) in page.text
    for part in (*TABLES, *FIGURES):
        assert _said(part.caption, known) in page.text
    for table in _DATA_TABLES:
        assert ("href", f"tables/{table.id}.csv") in page.attributes
        assert f"{table.id}.csv : {table.title}." in page.text


def test_findings_stand_under_their_section_and_share_a_rule(page):
    text = page.text[page.text.index("Findings and their rules") : page.text.index("Tables")]
    places = [text.index(f"Section {section} ") for section in dict.fromkeys(finding.section for finding in FINDINGS)]
    assert places == sorted(places)
    assert text.count("Rule.") == len({finding.rule for finding in FINDINGS})
    assert text.count("What it cannot tell.") == len({finding.rule for finding in FINDINGS if finding.caveat})


def test_everything_registered_is_in_the_markdown(laptop, known):
    text = (laptop / "report.md").read_text()
    for part in (*TABLES, *FIGURES):
        assert part.title in text
    assert all(text.count(with_minus(filled(finding.rule, known))) == 1 for finding in FINDINGS)
    for _, target in re.findall(r"\[([^]]*)\]\(([^)]*)\)", text):
        assert (laptop / target).is_file()


def test_markdown_tables_have_as_many_cells_in_every_row(laptop):
    report = (laptop / "report.md").read_text()
    blocks = re.findall(r"(?:^\|.*\n)+", report, re.MULTILINE)
    # Of other models, of positions, of modes, of lengths and of rates there is nothing to show. Besides: the summary,
    # the runs, the timings.
    assert report.count("No run at this scale.") == 2
    assert report.count("No model is trained by two recipes at this scale.") == 1
    for study in ("tune", "measuring-mode"):
        assert report.count(f"On request: `make ONLY={study}`.") == 1
    assert len(blocks) == len(FINDINGS) + len(_SHOWN_TABLES) - 5 + 3
    for block in blocks:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1


def test_the_page_holds_all_it_needs_and_links_to_nothing_but_its_data(laptop, page):
    data = {f"tables/{table.id}.csv" for table in _DATA_TABLES}
    for name, value in page.attributes:
        if name in {"src", "href", "xlink:href"}:
            assert value.startswith(("#", "data:image/png;base64,")) or (name == "href" and value in data), value
    assert all((laptop / file).is_file() for file in data)
    style = re.search(r"<style>(.*?)</style>", (laptop / "index.html").read_text(), re.DOTALL).group(1)
    assert "url(" not in style
    assert "@import" not in style


def test_ids_are_unique_and_references_resolve(laptop, page):
    assert len(page.ids) == len(set(page.ids))
    text = (laptop / "index.html").read_text()
    references = re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', text)
    assert references
    assert {first or second for first, second in references} <= set(page.ids)


def _summary(page):
    return page.text[page.text.index("What was found") : page.text.index("What was trained and measured")]


def test_verdicts_effects_and_limits_are_in_the_summary(laptop, page):
    text, summary = page.text, _summary(page)
    rows = pl.read_csv(laptop / "findings.csv", infer_schema_length=None)
    for finding in FINDINGS:
        row = rows.filter(id=finding.id).row(0, named=True)
        survives = f" and {row['survival']}" if row["survival"] else ""
        assert f"{row['verdict']}{survives} {finding.claim} ({finding.section})" in summary
        assert f"; {row['reason']})" in summary
    counted = rows.unique("id")["verdict"].value_counts()
    for verdict, number in counted.iter_rows():
        assert f"{number} {verdict}" in summary
    assert set(WORDS) - {"in part"} <= set(counted["verdict"]) <= set(WORDS)
    effect = rows.filter(id="reinjection-se", decides="yes").row(0, named=True)
    assert f"{effect['of']}: {effect['quantity']} +{effect['value']:#.3g} nats [+" in summary
    assert "a laptop-scale verdict says nothing about the paper's scale" in summary
    assert "a stand-in for CodeParrot" in summary
    assert "prototypes before these rules were written" in text
    assert "sqlalchemy==2.1.9: MIT; sympy==1.14.0: BSD-3-Clause" in text


def test_the_summary_says_how_a_verdict_follows(page):
    assert " ".join(VERDICTS.split()) in _summary(page)


def test_the_summary_shows_the_effect_that_decides(page, partial_page):
    # Seed by seed the planted losses differ by exactly this.
    gelu_better = "PreLN GELU − PreLN ReLU: final eval loss +0.0900 nats"
    assert f"contradicted GELU has the lower perplexity. (3.1) {gelu_better}" in _summary(page)
    # GELU got stuck and ReLU is absent: what is absent comes first.
    absent = "PreLN ReLU: SE, post minus pre, mean over layers not run at this scale"
    assert f"not run GELU and ReLU raise spectral entropy: post above pre. (3.1) {absent}" in _summary(partial_page)
    failed = "norm-free GELU: EEE_pre of the first third of layers diverged at step 429"
    assert failed in _summary(partial_page)


def test_table_2_shows_both_numbers(page):
    assert "PreLN GELU long 2.714 29.37 1 2 3.380 0.004 3 finished" in page.text
    assert "PreLN ReLU better than PreLN GELU" in page.text


def test_tables_are_arranged_as_in_the_paper(page):
    assert "SE pre Pearson, paper −0.98 −0.98 −0.99 −0.99 −0.99 −0.99 −0.99 −0.99 −0.99" in page.text
    assert "SE post Pearson, paper −1.00 −1.00 −0.57 −0.85 −0.92 −0.99 −1.00" in page.text
    assert "PostLN PR_post, paper 95 ± 65 142 ± 104 151 ± 147 240 ± 231 117 ± 110" in page.text


def test_the_page_says_how_far_it_reaches(page, laptop):
    findings = pl.read_csv(laptop / "findings.csv", infer_schema_length=None).filter(pl.col("verdict") != "not run")
    # In this order: the numbered sections, then the appendices.
    reached = {section for each in findings["section"] for section in each.split(", ")}
    sections = ", ".join(each for each in ("3.1", "3.2", "3.4", "3.5", "B.2", "C.1", "G") if each in reached)
    decided = findings["id"].n_unique()
    assert 0 < decided < len(FINDINGS)
    assert f"{decided} of NerVE's claims, from sections {sections}, are decided here" in page.text
    assert "The experiments of" in page.text
    assert page.text.count("Of several seeds of one run the lowest-numbered is shown.") > 2
    assert "one share for all runs, chosen once, with prototypes at laptop scale in view" in page.text


def test_choices_are_visible(page):
    assert "takes the residual of attention from the normalised stream" in page.text
    assert "a fixed held-out probe, where the paper takes the training batch" in page.text
    assert "Norm-free models keep the LayerNorm before the head" in page.text


def test_a_revised_rule_is_listed_for_its_findings(page):
    text = page.text[: page.text.index("Section 3.1 ", page.text.index("Findings and their rules"))]
    listed = {}
    for finding in FINDINGS:
        for revision in finding.revisions:
            listed.setdefault(revision, []).append(finding.id)
    assert ["reinjection-se", "reinjection-pr", "flattening-eee"] in listed.values()
    for revision, ids in listed.items():
        assert f"{' , '.join(ids)} : {revision}" in text
        assert page.text.count(revision) == 1
    without = [finding.id for finding in FINDINGS if not finding.revisions]
    assert without
    assert not any(f"{id} :" in text for id in without)


def test_a_revision_of_several_findings_is_listed_once():
    findings = [
        {"id": "one", "revisions": ("a", "b")},
        {"id": "two", "revisions": ()},
        {"id": "three", "revisions": ("b",)},
    ]
    expected = [{"ids": ["one"], "text": "a"}, {"ids": ["one", "three"], "text": "b"}]
    assert _revisions(findings) == expected


def test_the_effect_beside_a_verdict_is_the_one_that_decides(laptop):
    page = (laptop / "report.md").read_text()
    decides = pl.read_csv(laptop / "findings.csv", infer_schema_length=None).filter(decides="yes")
    assert decides["id"].to_list() == [finding.id for finding in FINDINGS]
    for row in decides.iter_rows(named=True):
        assert f"({row['section']}) | {row['of']}: {row['quantity']} " in page


def test_a_run_is_named_with_what_is_off_its_base():
    row = {"base": "gpt2-codeparrot", "placement": "preln", "activation": "gelu", "width_multiple": 2}
    row |= {"off_base": [], "recipes": ["long"]}
    plain = run_named(row)
    assert plain == named({"placement": "preln", "activation": "gelu", "width_multiple": 2})
    assert run_named(row | {"off_base": ["width_multiple"]}) == plain
    other = row | {"off_base": ["width_multiple", "optimiser_lr", "measure_estimators"], "optimiser_lr": 0.01}
    other["measure_estimators"] = ["full", "sampling-0.05", "bkq-8x12"]
    assert run_named(other) == f"{plain}; learning rate 0.01; measure estimators full and 2 more"


def test_every_run_is_listed_with_its_outcome(page, partial_page):
    for run in SEEDED:
        assert run.name in page.text
    assert "21 runs, 21 finished." in page.text
    assert "norm-free learnable leaky ReLU 2 finished 3.554" in page.text
    assert "3 runs, 1 finished, 2 failed" in " ".join(partial_page.text.replace(" ,", ",").split())
    assert "diverged at step 429" in partial_page.text


def test_absent_and_failed_runs_are_shown_as_that(partial, partial_page):
    assert "PreLN ReLU: not run at this scale" in partial_page.text
    assert "GELU 4d: stuck at step 429" in partial_page.text
    assert "norm-free ReLU long 2.988 – – – – – – not run at this scale" in partial_page.text
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
        "timings/table-10-seconds.csv",
        *(f"figures/{figure.id}.svg" for figure in FIGURES),
    }
    for file in written:
        assert (analysed / "results" / file).read_bytes() == (laptop / file).read_bytes()


def test_a_figure_that_is_no_longer_drawn_is_dropped(analysed, render_again):
    render_again()
    left = analysed / "results" / "figures" / "figure-99-renamed.svg"
    left.write_text("old")
    render_again()
    assert {path.stem for path in left.parent.iterdir()} == {figure.id for figure in FIGURES}
    assert (analysed / "results" / "findings.csv").is_file()


def test_only_the_timings_block_depends_on_timings_and_versions(laptop, analysed, render_again):
    timing = analysed / "aggregates" / "timing.parquet"
    pl.read_parquet(timing).with_columns(pl.col("train_seconds") * 3).write_parquet(timing)
    provenance = analysed / "provenance.json"
    content = {"versions": {"torch": "2.14.1"}, "hardware": {"cpu": ["a|b", "c"]}, "runs": {"x": {"environment": {}}}}
    content |= {"git": {"commit": "0123abcd", "changed": False}, "params_sha256": {"params.yaml": "feed"}}
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
        assert ("<image" in text) == (
            figure not in (*PLACEMENT, *ESTIMATORS)
        )  # contours and maps, rasterised; nothing was estimated
        assert len(text) < 250_000


def test_a_page_without_a_run_of_several_estimators_has_no_table_10(laptop):
    for page in ("index.html", "report.md"):
        assert "Table 10: seconds" not in (laptop / page).read_text()
    assert (laptop / "timings" / "table-10-seconds.csv").read_text().count("\n") == 1
