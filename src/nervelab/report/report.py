"""Rendering: figures, then one self-contained page and the same in Markdown."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from nervelab.aggregates.estimated import fidelity
from nervelab.aggregates.find import Aggregates
from nervelab.aggregates.verified import read_table
from nervelab.analysis.outputs import drop_others
from nervelab.files import read_json, write_text
from nervelab.report.figures.figure import svg
from nervelab.report.figures.registry import FIGURES
from nervelab.report.inline import inline
from nervelab.report.page import context
from nervelab.report.timings import environment, logging_step, shown_logging_step, timings
from nervelab.runfiles import ESTIMATORS, TIMING
from nervelab.study.decisions import Analysis
from nervelab.words.facts import facts, filled
from nervelab.words.numbers import in_markdown

TIMINGS = "timings/table-10-seconds.csv"
_REMEDY = "run make again."


def render(
    *,
    results_dir: Path,
    aggregates_dir: Path,
    runs_json: Path,
    settings: Analysis,
    provenance: Path | None = None,
) -> list[Path]:
    """Write figures/<id>.svg for every registered figure, index.html, report.md and Table 10 below `results_dir`.

    Equal inputs give equal bytes; between two executions of the same runs only timings/ and the block between the
    comments `timings: begin` and `timings: end` of the two pages differ.

    Args:
        results_dir: where `analyse` wrote findings.csv and tables/.
        aggregates_dir: where `aggregate` wrote its tables.
        runs_json: results/runs.json, for the scale and the data.
        settings: the `analysis:` section of params.yaml.
        provenance: provenance.json, whose versions and hardware are shown in the timings block.

    Returns:
        The files written.

    Raises:
        NervelabError: an input is missing or damaged, or a file cannot be written.
    """
    aggregates = Aggregates.read(aggregates_dir, settings)
    made_by = read_json(provenance, _REMEDY) if provenance else {}
    content = context(
        results_dir=results_dir,
        runs=aggregates.runs,
        listing=read_json(runs_json, _REMEDY),
        settings=settings,
        environments={name: run["environment"] for name, run in made_by.get("runs", {}).items()},
    )
    timing = read_table(aggregates_dir / TIMING)
    content["timings"] = timings(timing)
    seconds = logging_step(read_table(aggregates_dir / ESTIMATORS), timing, fidelity(aggregates))
    content["logging_step"] = shown_logging_step(seconds)
    write_text(results_dir / TIMINGS, seconds.write_csv())
    content["environment"] = environment(made_by)
    content["adoption"] = made_by.get("adoption")
    content["figures"] = _figures(aggregates, results_dir / "figures")
    templates = _templates()
    pages = ("index.html", "report.md")
    for name in pages:
        write_text(results_dir / name, templates.get_template(f"{name}.j2").render(content))
    figures = [results_dir / "figures" / f"{figure.id}.svg" for figure in FIGURES]
    drop_others(results_dir / "figures", figures)
    return [*figures, *(results_dir / name for name in (*pages, TIMINGS))]


def _figures(aggregates: Aggregates, folder: Path) -> list[dict[str, str]]:
    shown, known = [], facts(aggregates.runs, aggregates.settings)
    for figure in FIGURES:
        picture = svg(figure, aggregates)
        write_text(folder / f"{figure.id}.svg", picture)
        element = inline(picture, name=figure.id, description=figure.title)
        caption = filled(figure.caption, known)
        shown.append({"id": figure.id, "title": figure.title, "caption": caption, "svg": element})
    return shown


def _templates() -> Environment:
    templates = Environment(
        loader=PackageLoader("nervelab.report"),
        autoescape=select_autoescape(enabled_extensions=("html.j2",)),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    templates.filters["cell"] = in_markdown
    return templates
