from dataclasses import replace

import matplotlib as mpl
import numpy as np
import polars as pl
import pytest

from nervelab.aggregates.find import Aggregates
from nervelab.aggregates.window import pairs_with_eval_loss
from nervelab.report.figures.figure import STYLE
from nervelab.report.figures.training import TRAINING
from nervelab.statistics.within_run import pearson
from tests.support.synthetic_runs import LAPTOP, LAYERS


@pytest.fixture
def draw(gather):
    def _draw(*runs):
        aggregates = gather(*runs)
        with mpl.rc_context(STYLE):
            return TRAINING[0].draw(aggregates), aggregates.find()

    return _draw


def _titles(canvas):
    return [axes.get_title(loc="left") for axes in canvas.axes]


def test_lines_are_means_and_bars_standard_deviations_over_layers(draw):
    canvas, run = draw(LAPTOP[0])
    panel = canvas.axes[0]
    for container, site in zip(panel.containers, ("pre", "post"), strict=True):
        line, _, (bars,) = container.lines
        values_SL = run.grid(f"se_{site}").values_SL
        assert line.get_marker() == {"pre": "o", "post": "s"}[site]
        np.testing.assert_allclose(line.get_ydata(), values_SL.mean(axis=1))
        lengths = [segment[1, 1] - segment[0, 1] for segment in bars.get_segments()]
        np.testing.assert_allclose(lengths, 2 * values_SL.std(axis=1))


def test_titles_give_r_over_the_window(draw):
    canvas, run = draw(LAPTOP[0])
    r, whole = (pearson(pairs_with_eval_loss(run, "eee_post", whole=whole)) for whole in (False, True))
    title = next(title for title in _titles(canvas) if title.startswith("Eigenvalue early enrichment"))
    assert f"= {r:+.3f}" in title.splitlines()[1]
    assert f"= {whole:+.3f}".replace("-", "−") in title.splitlines()[2]


def test_eval_loss_has_its_own_axis(draw):
    canvas, run = draw(LAPTOP[0])
    losses = [axes.lines[0].get_ydata() for axes in canvas.axes if axes.get_ylabel() == "probe eval loss (nats)"]
    assert len(losses) == 3
    np.testing.assert_array_equal(losses[0], run.history["eval_loss"].to_numpy())


def test_a_failed_run_is_marked_and_has_no_r(draw):
    canvas, _ = draw(replace(LAPTOP[0], outcome="stuck"))
    assert canvas.get_suptitle().startswith("This run is stuck at step 429: not a trained network")
    assert "none" in _titles(canvas)[0]


def test_an_absent_run_is_said_to_be_absent(draw):
    canvas, run = draw(LAPTOP[1])
    assert run is None
    assert [text.get_text() for text in canvas.axes[0].texts] == ["PreLN GELU: not run at this scale"]


def test_one_measured_step_draws_no_contours(draw):
    canvas, _ = draw(replace(LAPTOP[0], steps=(0,)))
    assert any("too few measured\ncells" in text.get_text() for axes in canvas.axes for text in axes.texts)


def test_a_picture_says_what_it_shows_of(draw):
    canvas, _ = draw(LAPTOP[0])
    for fact in ("NerVE, Figure 1", "PreLN GELU", "D = 256", "python-packages", "laptop scale"):
        assert fact in canvas.get_suptitle()


def _colour_limits(canvas):
    contours = next(axes for axes in canvas.axes if axes.get_ylabel() == "layer").collections[0]
    return contours.get_clim()


def test_one_colour_means_the_same_in_both_figures(gather):
    one = gather(*LAPTOP[:2])
    is_relu = pl.col("name") == LAPTOP[1].name
    raised = one.spectra.with_columns(js=pl.when(is_relu).then(2 * pl.col("js")).otherwise("js"))
    both = Aggregates(runs=one.runs, spectra=raised, history=one.history, settings=one.settings)
    with mpl.rc_context(STYLE):
        first, third = (_colour_limits(figure.draw(both)) for figure in TRAINING)
    assert first == third
    assert first[1] >= raised.filter(is_relu)["js"].max() > 1.5 * raised.filter(~is_relu)["js"].max()


def test_marks_of_many_steps_are_thinned_but_lines_are_not(draw):
    steps = tuple(range(0, 1000, 10))
    canvas, _ = draw(replace(LAPTOP[0], steps=steps))
    line, _, (bars,) = canvas.axes[0].containers[0].lines
    assert len(line.get_xdata()) == len(steps)
    assert line.get_markevery() == 7
    assert len(bars.get_segments()) == 15
    (dots,) = next(axes for axes in canvas.axes if axes.get_ylabel() == "layer").lines
    assert len(dots.get_xdata()) == 15 * LAYERS
