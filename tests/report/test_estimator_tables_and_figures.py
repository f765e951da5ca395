"""Figures 19 to 21 and Table 10: the run that was measured by several estimators, on the page and beside it."""

import re
from dataclasses import replace

import matplotlib as mpl
import numpy as np
import polars as pl
import pytest

from nervelab.aggregates.estimated import fidelity
from nervelab.analysis.analyse import analyse
from nervelab.files import write_json
from nervelab.report.figures.estimators import ESTIMATORS
from nervelab.report.figures.figure import FAILED, STYLE, svg
from nervelab.report.report import render
from nervelab.report.timings import logging_step, shown_logging_step
from tests.support.made_up_runs import ESTIMATORS as NAMES
from tests.support.made_up_runs import MadeUp, gathered, saved

_TIMINGS = re.compile(r"<!-- timings: begin -->.*<!-- timings: end -->", re.DOTALL)
_RUN = MadeUp(estimators=(*NAMES, "randsvd-1/6-tail", "lanczos-1/6-tail", "bkq-8x12"))
_COLUMNS = {
    19: ["full", "5 %", "10 %", "25 %", "50 %"],
    20: ["full", "rank D/6", "rank D/6\nwith tail"],
    21: ["full", "rank D/6", "rank D/6\nwith tail", "BKQ 8 × 12"],
}
_MEASURED = {
    19: ["full", *NAMES[1:5]],
    20: ["full", "randsvd-1/6", "randsvd-1/6-tail"],
    21: ["full", "lanczos-1/6", "lanczos-1/6-tail", "bkq-8x12"],
}


@pytest.fixture(scope="session")
def aggregates():
    return gathered([MadeUp(), _RUN])


def draw(figure, aggregates):
    with mpl.rc_context(STYLE):
        canvas = figure.draw(aggregates)
        canvas.draw_without_rendering()
        return canvas


def panels(canvas):
    """The panels of the upper and of the lower row."""
    axes = [each for each in canvas.axes if each.get_subplotspec() is not None]
    return axes[: len(axes) // 2], axes[len(axes) // 2 :]


def test_there_are_three_figures_numbered_19_to_21():
    assert [figure.id.split("-")[1] for figure in ESTIMATORS] == ["19", "20", "21"]


@pytest.mark.parametrize(("number", "figure"), list(enumerate(ESTIMATORS, start=19)))
def test_a_column_is_an_estimator_and_a_map_its_grid(aggregates, number, figure):
    upper, lower = panels(draw(figure, aggregates))
    assert [axes.get_title(loc="center") for axes in upper] == _COLUMNS[number]
    for row, metric in ((upper, "se_post"), (lower, "pr_post")):
        for name, axes in zip(_MEASURED[number], row, strict=True):
            rows = aggregates.spectra.filter(name=_RUN.name, estimator=name).sort("layer", "step")
            np.testing.assert_array_equal(axes.collections[0].get_array(), rows[metric].to_numpy().reshape(4, -1))
        assert len({axes.collections[0].get_clim() for axes in row}) == 1


@pytest.mark.parametrize("figure", ESTIMATORS, ids=lambda figure: figure.id)
def test_without_a_run_of_several_estimators_that_is_said(figure):
    (axes,) = draw(figure, gathered([MadeUp()])).axes
    said = " ".join(axes.texts[0].get_text().split())
    assert said == "PreLN GELU was not measured by several estimators at this scale"


@pytest.mark.parametrize("figure", ESTIMATORS, ids=lambda figure: figure.id)
def test_a_failed_run_is_named_in_red_in_every_column(figure):
    upper, _ = panels(draw(figure, gathered([replace(_RUN, outcome="stuck")])))
    for axes in upper:
        assert axes.get_title(loc="center").endswith(" stuck")
        assert axes.title.get_color() == FAILED


@pytest.mark.parametrize("figure", ESTIMATORS, ids=lambda figure: figure.id)
def test_a_picture_is_the_same_bytes_again(aggregates, figure):
    assert svg(figure, aggregates) == svg(figure, aggregates)


def seconds_and_timing(aggregates):
    """Two logging steps of two estimators, and of another run, whose seconds count for nothing."""
    mine, other = _RUN.name, MadeUp().name
    seconds = pl.DataFrame(
        [
            (mine, 0, "full", 0.03, 0.05),
            (mine, 0, "sampling-0.10", 0.01, 0.02),
            (mine, 1000, "full", 0.05, 0.07),
            (mine, 1000, "sampling-0.10", 0.02, 0.03),
            (other, 0, "full", 9.0, 9.0),
        ],
        schema=["name", "step", "estimator", "moments_seconds", "solve_seconds"],
        orient="row",
    )
    timing = pl.DataFrame(
        {
            "name": [mine, mine, other],
            "step": [0, 1000, 1000],
            "train_seconds": [0.0, 20.0, 900.0],
            "measure_seconds": 1.0,
        }
    )
    return seconds, timing, fidelity(aggregates)


def test_table_10_is_what_it_is_by_hand(aggregates):
    full, sample = logging_step(*seconds_and_timing(aggregates)).to_dicts()
    # a training step takes 0.02 s: 200 of them 4 s, 1000 of them 20 s
    assert full == {
        "estimator": "full",
        "words": "full",
        "moments_seconds": pytest.approx(0.04),
        "solve_seconds": pytest.approx(0.06),
        "paper_seconds": 14.41,
        "paper_every_200": 6.38,
        "every_200": pytest.approx(100 * 0.1 / 4),
        "paper_every_1000": 1.28,
        "every_1000": pytest.approx(100 * 0.1 / 20),
    }
    assert (sample["paper_seconds"], sample["paper_every_200"], sample["paper_every_1000"]) == (9.92, 4.39, 0.88)
    assert (sample["every_200"], sample["every_1000"]) == pytest.approx((100 * 0.04 / 4, 100 * 0.04 / 20))


def test_a_reader_sees_milliseconds_here_and_seconds_in_the_paper(aggregates):
    shown = shown_logging_step(logging_step(*seconds_and_timing(aggregates)))
    assert shown == [
        ["full", "14.41", "40.0", "60.0", "6.38", "2.50", "1.28", "0.50"],
        ["10 % of tokens", "9.92", "15.0", "25.0", "4.39", "1.00", "0.88", "0.20"],
    ]


def test_what_the_paper_does_not_time_has_a_dash(aggregates):
    seconds, timing, measured = seconds_and_timing(aggregates)
    ours = seconds.with_columns(estimator=pl.col("estimator").replace("sampling-0.10", "bkq-8x12"))
    assert shown_logging_step(logging_step(ours, timing, measured))[1] == [
        *("BKQ 8 × 12", "–", "15.0", "25.0", "–", "1.00", "–", "0.20")
    ]


def test_without_such_a_run_or_if_it_failed_table_10_is_empty(aggregates):
    seconds, timing, measured = seconds_and_timing(aggregates)
    failed = fidelity(gathered([replace(_RUN, outcome="diverged")]))
    for each in (None, failed):
        frame = logging_step(seconds, timing, each)
        assert frame.is_empty()
        assert frame.columns == logging_step(seconds, timing, measured).columns


@pytest.fixture(scope="session")
def rendered(aggregates, settings, tmp_path_factory):
    """The folder of a rendering with Table 10, and of another in which estimators took twice as long."""
    root = tmp_path_factory.mktemp("estimators")
    folder = saved(aggregates, root / "aggregates")
    write_json(root / "runs.json", {"scale": "laptop", "runs": [], "data": {}})
    results = []
    for name, factor in (("once", 1), ("twice", 2)):
        path = folder / "estimators.parquet"
        pl.read_parquet(path).with_columns(pl.col("solve_seconds") * factor).write_parquet(path)
        analyse(folder, root / name, settings)
        render(results_dir=root / name, aggregates_dir=folder, runs_json=root / "runs.json", settings=settings)
        results.append(root / name)
    return results


@pytest.mark.parametrize("page", ["index.html", "report.md"])
def test_table_10_stands_in_the_timings_block_and_nowhere_else(rendered, page):
    once, twice = ((folder / page).read_text() for folder in rendered)
    assert "Table 10: seconds of a logging step" in once
    assert "Table 10: seconds" not in _TIMINGS.sub("", once)
    assert once != twice
    assert _TIMINGS.sub("", once) == _TIMINGS.sub("", twice)
    # 40 and 10 ms; a training step takes 10 ms: of 200 steps 2 s, of 1000 steps 10 s
    row = ["full", "14.41", "40.0", "10.0", "6.38", "2.50", "1.28", "0.50"]
    cells = {"index.html": "".join(f"<td>{each}</td>" for each in row), "report.md": f"| {' | '.join(row)} |"}[page]
    assert cells in once
    assert cells not in twice


def test_beside_the_page_only_timings_differ(rendered):
    once, twice = (
        {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for folder in rendered
    )
    assert once.keys() == twice.keys()
    differing = {name for name in once if once[name] != twice[name]}
    assert differing == {"index.html", "report.md", "timings/table-10-seconds.csv"}


def test_the_file_of_table_10_has_seconds_and_every_estimator(rendered):
    frame = pl.read_csv(rendered[0] / "timings" / "table-10-seconds.csv")
    assert frame["estimator"].to_list() == list(_RUN.estimators)
    assert set(frame["moments_seconds"]) == {0.04}
    assert frame["every_200"].to_list() == pytest.approx([2.5] * frame.height)
