"""Figures 1 and 3: the four metrics over training, before and after the nonlinearity."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from nervelab.analysis.aggregates import Aggregates, Run
from nervelab.analysis.correlations import window_start_step, with_eval_loss
from nervelab.analysis.labels import METRICS, NOT_RUN, UNITS, architecture
from nervelab.report.figures.figure import FAILED, LOSS, POST, PRE, WIDTH, Figure, note
from nervelab.study.decisions import Analysis

_SITES = {"pre": PRE, "post": POST}
_LEFT_OUT = "0.92"
_LEGEND = (
    Line2D([], [], color=PRE, label="pre-activation"),
    Line2D([], [], color=POST, label="post-activation"),
    Line2D([], [], color=LOSS, linestyle="--", label="eval loss"),
    Patch(color=_LEFT_OUT, label="left out of r"),
)


def _draw(aggregates: Aggregates, settings: Analysis, *, baseline: dict[str, Any]) -> Canvas:
    run = aggregates.find(**baseline)
    if run is None or run.spectra.is_empty():
        why = NOT_RUN if run is None else f"{run.state}, before anything was measured"
        canvas = Canvas(figsize=(WIDTH, 1))
        note(canvas.subplots(), f"{architecture(baseline)}: {why}")
        return canvas
    canvas = Canvas(figsize=(WIDTH, 5.4), layout="constrained")
    panels = canvas.subplots(2, 2)
    for axes, metric in zip(panels.flat, METRICS, strict=False):
        _metric_panel(axes, run, metric, settings)
    _js_panel(panels[1, 1], run)
    canvas.legend(handles=_LEGEND, loc="outside lower center", ncols=len(_LEGEND), frameon=False)
    if run.failed:
        canvas.suptitle(f"This run is {run.state}: not a trained network", fontsize=9, color=FAILED)
    return canvas


def _metric_panel(axes: Axes, run: Run, metric: str, settings: Analysis) -> None:
    titles = []
    for site, colour in _SITES.items():
        grid = run.grid(f"{metric}_{site}")
        mean_S, spread_S = grid.values_SL.mean(axis=1), grid.values_SL.std(axis=1)
        axes.errorbar(grid.steps_S, mean_S, yerr=spread_S, color=colour, elinewidth=0.8, capsize=1.5)
        r = with_eval_loss(run, f"{metric}_{site}", settings, whole=False).pearson
        titles.append(f"$r_\\mathrm{{{site}}}$ = " + ("none" if r is None else f"{r:+.2f}".replace("-", "−")))
    axes.axvspan(0, window_start_step(run, settings), color=_LEFT_OUT, linewidth=0, zorder=0)
    axes.set_title(f"{METRICS[metric].capitalize()}\n{',  '.join(titles)}")
    axes.set_xlabel("step")
    axes.set_ylabel(UNITS[metric])
    axes.margins(x=0.02)
    loss_axes = axes.twinx()
    loss_axes.plot(grid.steps_S, run.eval_loss_at(grid.steps_S), color=LOSS, linestyle="--", linewidth=1)
    loss_axes.set_ylabel("eval loss (nats)", color=LOSS)
    loss_axes.tick_params(axis="y", colors=LOSS)


def _js_panel(axes: Axes, run: Run) -> None:
    axes.set_title("Jensen-Shannon divergence\npre to post, by layer")
    grid = run.grid("js")
    if min(grid.values_SL.shape) < 2 or not np.isfinite(grid.values_SL).all():
        note(axes, "too few measured cells for contours")
        return
    layers_L = np.arange(1, grid.values_SL.shape[1] + 1)
    contours = axes.contourf(grid.steps_S, layers_L, grid.values_SL.T, levels=12, cmap="viridis")
    # A few thousand polygons in print-sharp vectors would outweigh the rest of the page.
    contours.set_rasterized(True)
    axes.set_xlabel("step")
    axes.set_ylabel("layer")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    bar = axes.figure.colorbar(contours, cax=axes.inset_axes((1.03, 0, 0.045, 1)), label="nats")
    bar.ax.yaxis.set_major_locator(MaxNLocator(5))
    bar.solids.set_rasterized(True)


def _figure(number: int, name: str, baseline: dict[str, Any]) -> Figure:
    model = architecture(baseline)
    return Figure(
        id=f"figure-{number:02}-{name}",
        title=f"Figure {number}: {model}, the spectrum before and after the nonlinearity",
        caption=(
            f"{model} over training. Lines: mean over layers; bars: one standard deviation over layers; "
            "dashed, on the right axis: eval loss at the same steps. r in the titles is Pearson's, against "
            "eval loss, from the window's start on: the grey span is left out. Last panel: Jensen-Shannon "
            "divergence between the pre- and post-activation spectra, layer by step, interpolated between "
            "measured points."
        ),
        draw=partial(_draw, baseline=baseline),
    )


TRAINING = (
    _figure(1, "preln-gelu", {"placement": "preln", "activation": "gelu"}),
    _figure(3, "preln-relu", {"placement": "preln", "activation": "relu"}),
)
