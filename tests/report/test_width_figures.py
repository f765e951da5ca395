from dataclasses import replace

import matplotlib as mpl
import numpy as np
import polars as pl
import pytest
from matplotlib.colors import to_rgb

from nervelab.aggregates.find import Aggregates
from nervelab.report.figures.figure import FAILED, STYLE, svg
from nervelab.report.figures.placement import PLACEMENT
from nervelab.report.figures.widths import WIDTH_SWEEPS
from tests.support.synthetic_runs import LAYERS, Planted

_GELU = tuple(Planted(width_multiple=multiple) for multiple in range(1, 9))
_FIGURE_6, _FIGURE_14, _FIGURE_17 = PLACEMENT[0], WIDTH_SWEEPS[0], WIDTH_SWEEPS[3]
_NOT_RUN = "not run at this scale"


@pytest.fixture
def draw():
    def _draw(figure, aggregates):
        with mpl.rc_context(STYLE):
            canvas = figure.draw(aggregates)
            canvas.draw_without_rendering()
            return canvas

    return _draw


def _said(axes):
    return [" ".join(text.get_text().split()) for text in axes.texts]


def test_there_is_a_box_a_measured_width_and_a_point_a_layer(draw, gather):
    aggregates = gather(*_GELU[:3], Planted(placement="mixln"))
    preln, mixln, postln, *_ = draw(_FIGURE_6, aggregates).axes
    assert [len(axes.patches) for axes in (preln, mixln, postln)] == [3, 1, 0]
    assert [_said(axes).count(_NOT_RUN) for axes in (preln, mixln, postln)] == [5, 7, 8]
    for multiple, points in zip((1, 2, 3), preln.collections, strict=True):
        run = aggregates.find(width_multiple=multiple)
        shares_L = run.grid("pr_post").values_SL[-1] / (64 * multiple)
        x_L, y_L = points.get_offsets().T
        np.testing.assert_allclose(y_L, shares_L)
        assert len(shares_L) == LAYERS
        assert np.all(np.diff(x_L) > 0)
        assert np.all(np.round(x_L) == multiple)
        np.testing.assert_allclose(
            np.ptp(preln.patches[multiple - 1].get_path().vertices[:, 1]), np.ptp(np.quantile(shares_L, (0.25, 0.75)))
        )


def test_a_box_of_a_failed_run_is_marked_and_an_unmeasured_one_says_so(draw, gather):
    one = gather(replace(_GELU[0], outcome="stuck"), replace(_GELU[1], outcome="diverged"), _GELU[2])
    measured = one.spectra.filter(pl.col("name") != _GELU[1].name)
    canvas = draw(_FIGURE_6, Aggregates(runs=one.runs, spectra=measured, history=one.history, settings=one.settings))
    failed, finished = canvas.axes[0].patches
    assert to_rgb(failed.get_edgecolor()) == FAILED
    assert failed.get_hatch()
    assert not finished.get_hatch()
    assert "diverged at step 429" in _said(canvas.axes[0])
    assert "failed: not a trained network" in [text.get_text() for text in canvas.legends[0].texts]


def _rows(canvas, columns=8):
    """The panels by row, keys left out."""
    panels = [axes for axes in canvas.axes if axes.get_subplotspec() is not None]
    return [panels[k : k + columns] for k in range(0, len(panels), columns)]


def test_a_column_is_a_width_and_a_map_its_grid(draw, gather):
    aggregates = gather(*_GELU)
    rows = _rows(draw(_FIGURE_14, aggregates))
    assert len(rows) == 2
    for row, metric in zip(rows, ("se_post", "pr_post"), strict=True):
        for multiple, axes in enumerate(row, start=1):
            values_SL = aggregates.find(width_multiple=multiple).grid(metric).values_SL
            np.testing.assert_array_equal(axes.collections[0].get_array(), values_SL.T)
    assert [axes.get_title(loc="center") for axes in rows[0]] == [f"{k}d" for k in range(1, 9)]


def test_one_scale_serves_all_widths_and_first_steps_do_not_set_it(draw, gather):
    one = gather(*_GELU)
    last = (pl.col("name") == _GELU[7].name) & (pl.col("step") == 1000)
    pr = pl.when(last).then(50.0).when(pl.col("step") == 0).then(400.0).otherwise("pr_post")
    raised = Aggregates(
        runs=one.runs, spectra=one.spectra.with_columns(pr_post=pr), history=one.history, settings=one.settings
    )
    _, ratios = _rows(draw(_FIGURE_14, raised))
    assert {axes.collections[0].get_clim() for axes in ratios} == {(0, 50)}


def test_absent_failed_and_short_runs_are_shown_as_that(draw, gather):
    runs = (replace(_GELU[0], outcome="stuck"), replace(_GELU[2], steps=(0,)), _GELU[3])
    first, *_ = _rows(draw(_FIGURE_14, gather(*runs)))
    assert first[0].get_title(loc="center") == "1d stuck"
    assert first[0].title.get_color() == FAILED
    assert first[0].get_xlim() == (0, 1000)
    assert _said(first[1]) == [_NOT_RUN]
    assert _said(first[2]) == ["too few measured steps"]
    assert first[3].title.get_color() != FAILED


def test_several_models_are_named_above_their_rows(draw, gather):
    relu = Planted(placement="none", activation="relu")
    leaky = replace(relu, activation="learnable-leaky-relu", width_multiple=2)
    canvas = draw(_FIGURE_17, gather(relu, leaky))
    rows = _rows(canvas)
    assert len(rows) == 4
    assert "norm-free ReLU" in _said(rows[0][0])
    assert "norm-free learnable leaky ReLU" in _said(rows[2][0])
    assert [axes.get_ylabel() for axes in (rows[0][3], rows[2][1])] == ["SE post\nlayer"] * 2
    assert "norm-free, 4 layers, d = 64, D = 128 to 256" in canvas.get_suptitle()


@pytest.mark.parametrize("figure", [*PLACEMENT, *WIDTH_SWEEPS], ids=lambda figure: figure.id)
def test_without_any_run_that_is_said(draw, gather, figure):
    (axes,) = draw(figure, gather(Planted(placement="none", activation="swiglu"))).axes
    assert "nothing measured at this scale" in _said(axes)[0]


@pytest.mark.parametrize("figure", [_FIGURE_6, _FIGURE_14], ids=lambda figure: figure.id)
def test_a_picture_is_the_same_bytes_again(gather, figure):
    aggregates = gather(*_GELU[2:5], replace(_GELU[5], outcome="stuck"))
    assert svg(figure, aggregates) == svg(figure, aggregates)
