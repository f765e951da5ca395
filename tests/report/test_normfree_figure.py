from dataclasses import replace

import matplotlib as mpl
import numpy as np
import polars as pl
import pytest

from nervelab.aggregates.find import Aggregates
from nervelab.report.figures.figure import FAILED, STYLE, svg
from nervelab.report.figures.normfree import NORMFREE
from tests.support.synthetic_runs import LAPTOP, LAYERS, STEPS

(_FIGURE_4,) = NORMFREE
_GELU, _RELU, _LEAKY = LAPTOP[4:]


@pytest.fixture
def draw():
    def _draw(aggregates):
        with mpl.rc_context(STYLE):
            canvas = _FIGURE_4.draw(aggregates)
            canvas.draw_without_rendering()
            return canvas

    return _draw


def _column(canvas, k):
    """The panels of one column that show a run, from the top."""
    panels = [axes for axes in canvas.axes if axes.axison and axes.get_subplotspec().rowspan.start < 3]
    return [axes for axes in panels if axes.get_subplotspec().colspan.start == k]


def _texts(canvas):
    return [text for axes in canvas.axes for text in axes.texts]


def test_there_is_a_row_a_model_and_a_line_a_layer(draw, gather):
    aggregates = gather(*LAPTOP)
    canvas = draw(aggregates)
    gains = _column(canvas, 1)
    assert len(gains) == 3
    for axes, activation in zip(gains, ("gelu", "relu", "learnable-leaky-relu"), strict=True):
        *lines, unity = axes.lines
        values_SL = aggregates.find(placement="none", activation=activation).grid("pr_gain").values_SL
        assert len(lines) == LAYERS
        np.testing.assert_array_equal([line.get_ydata() for line in lines], values_SL.T)
        assert set(unity.get_ydata()) == {1}
    colours = [line.get_color() for line in gains[0].lines[:LAYERS]]
    assert all(blue.sum() < red.sum() for blue, red in zip(np.array(colours[:-1]), np.array(colours[1:]), strict=True))


def test_maps_are_the_grid_on_the_scale_from_0_to_1(draw, gather):
    aggregates = gather(*LAPTOP)
    (mesh,) = _column(draw(aggregates), 2)[1].collections
    values_SL = aggregates.find(placement="none", activation="relu").grid("eee_post").values_SL
    np.testing.assert_array_equal(mesh.get_array(), values_SL.T)
    assert mesh.get_clim() == (0, 1)
    edges = mesh.get_coordinates()[0, :, 0]
    assert (edges[0], edges[-1]) == (STEPS[0], STEPS[-1])
    assert all(left < step < right for left, step, right in zip(edges[1:], STEPS[1:-1], edges[2:], strict=False))


def test_one_colour_means_the_same_in_every_row(draw, gather):
    one = gather(*LAPTOP)
    is_relu = pl.col("name") == _RELU.name
    js = pl.when(is_relu).then(3 * pl.col("js")).when(pl.col("name") == LAPTOP[0].name).then(0.6).otherwise("js")
    raised = Aggregates(
        runs=one.runs, spectra=one.spectra.with_columns(js=js), history=one.history, settings=one.settings
    )
    limits = {axes.collections[0].get_clim() for axes in _column(draw(raised), 3)}
    assert len(limits) == 1
    # That of PreLN GELU, not in this picture, leaves its scale alone.
    assert raised.spectra.filter(is_relu)["js"].max() <= limits.pop()[1] < 0.5


def test_absent_failed_and_unmeasured_runs_are_shown_as_that(draw, gather):
    one = gather(replace(_RELU, outcome="stuck"), replace(_LEAKY, outcome="diverged"))
    unmeasured = one.spectra.filter(pl.col("name") != _LEAKY.name)
    canvas = draw(Aggregates(runs=one.runs, spectra=unmeasured, history=one.history, settings=one.settings))
    said = {text.get_text(): text.get_color() for text in _texts(canvas)}
    assert "norm-free GELU: not run at this scale" in said
    assert "norm-free learnable leaky ReLU: diverged at step 429, before anything was measured" in said
    assert said["norm-free ReLU, stuck at step 429: not a trained network"] == FAILED
    assert [len(_column(canvas, k)) for k in range(4)] == [1, 1, 1, 1]
    assert [axes.get_title(loc="center") for axes in (_column(canvas, k)[0] for k in (0, 3))] == [
        "SE, pre and post",
        "JS, pre to post",
    ]


def test_without_any_run_each_is_named(draw, gather):
    (text,) = _texts(draw(gather(LAPTOP[0])))
    assert text.get_text().splitlines() == [
        "norm-free GELU: not run at this scale",
        "norm-free ReLU: not run at this scale",
        "norm-free learnable leaky ReLU: not run at this scale",
    ]


def test_one_measured_step_draws_neither_contours_nor_map(draw, gather):
    canvas = draw(gather(replace(_RELU, steps=(0,))))
    said = [text.get_text() for text in _texts(canvas)]
    assert sum("too few" in text for text in said) == 2


def test_a_picture_is_the_same_bytes_again_and_says_what_it_shows(draw, gather):
    aggregates = gather(_RELU, replace(_LEAKY, outcome="stuck"))
    assert svg(_FIGURE_4, aggregates) == svg(_FIGURE_4, aggregates)
    for fact in ("NerVE, Figure 4", "norm-free", "4 layers", "d = 64", "D = 256", "python-packages", "seed 0"):
        assert fact in draw(aggregates).get_suptitle()
