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

from nervelab.analysis.aggregates import SEEDS, Aggregates, Run
from nervelab.analysis.correlations import pairs_with_eval_loss, pearson, window_start_step
from nervelab.analysis.labels import METRICS, NOT_RUN, UNITS, WINDOW, architecture
from nervelab.report import format as shown
from nervelab.report.figures.figure import FAILED, LOSS, POST, PRE, WIDTH, Figure, note
from nervelab.study.decisions import Analysis

_BASELINES: dict[int, dict[str, Any]] = {
    1: {"placement": "preln", "activation": "gelu"},
    3: {"placement": "preln", "activation": "relu"},
}
# Colour, marker, and the share of the steps by which points are set aside, lest bars hide one another.
_SITES = {"pre": (PRE, "o", -0.004), "post": (POST, "s", 0.004)}
_LEFT_OUT = "0.92"
_LEGEND = (
    *(
        Line2D([], [], color=colour, marker=marker, markersize=4, label=f"{site}-activation")
        for site, (colour, marker, _) in _SITES.items()
    ),
    Line2D([], [], color=LOSS, linestyle="--", label="probe eval loss"),
    Patch(color=_LEFT_OUT, label="left out of r"),
)


def _draw(aggregates: Aggregates, settings: Analysis, *, number: int) -> Canvas:
    baseline = _BASELINES[number]
    run = aggregates.find(**baseline)
    if run is None or run.spectra.is_empty():
        why = NOT_RUN if run is None else f"{run.state}, before anything was measured"
        canvas = Canvas(figsize=(WIDTH, 1))
        note(canvas.subplots(), f"{architecture(baseline)}: {why}")
        return canvas
    canvas = Canvas(figsize=(WIDTH, 6.0), layout="constrained")
    canvas.get_layout_engine().set(wspace=0.07, hspace=0.05)
    panels = canvas.subplots(2, 2)
    for axes, metric in zip(panels.flat, METRICS, strict=False):
        _metric_panel(axes, run, metric, settings)
    _js_panel(panels[1, 1], run, highest=_highest_js(aggregates))
    canvas.legend(handles=_LEGEND, loc="outside lower center", ncols=len(_LEGEND), frameon=False)
    _head(canvas, run, number, aggregates.scale)
    return canvas


def _head(canvas: Canvas, run: Run, number: int, scale: str) -> None:
    """One line by which the picture can stand alone."""
    model = run.config["model"]
    facts = (
        f"After NerVE, Figure {number}",
        f"{architecture(run.row)}, {model['layers']} layers, d = {model['d_model']}, D = {run.width}",
        run.row["dataset"],
        f"{scale} scale, seed {run.row['seed']}",
    )
    state = f"This run is {run.state}: not a trained network\n" if run.failed else ""
    colour = FAILED if run.failed else LOSS
    canvas.suptitle(state + "  ·  ".join(facts), fontsize=8, color=colour, x=0.01, ha="left")


def _metric_panel(axes: Axes, run: Run, metric: str, settings: Analysis) -> None:
    for site, (colour, marker, aside) in _SITES.items():
        grid = run.grid(f"{metric}_{site}")
        mean_S, spread_S = grid.values_SL.mean(axis=1), grid.values_SL.std(axis=1)
        steps_S = grid.steps_S + aside * run.row["steps"]
        style = {"color": colour, "marker": marker, "markersize": 3, "elinewidth": 0.8, "capsize": 1.5}
        axes.errorbar(steps_S, mean_S, yerr=spread_S, **style)
    axes.axvspan(0, window_start_step(run, settings), color=_LEFT_OUT, linewidth=0, zorder=0)
    window, whole = (_correlations(run, metric, settings, whole=whole) for whole in (False, True))
    axes.set_title(f"{METRICS[metric].capitalize()}\n{window}\nwhole run: {whole}")
    axes.set_xlabel("step")
    axes.set_ylabel(UNITS[metric])
    axes.margins(x=0.02, y=0.1)
    loss_axes = axes.twinx()
    loss_axes.plot(grid.steps_S, run.eval_loss_at(grid.steps_S), color=LOSS, linestyle="--", linewidth=1)
    loss_axes.set_ylabel("probe eval loss (nats)", color=LOSS)
    loss_axes.tick_params(axis="y", colors=LOSS)


def _correlations(run: Run, metric: str, settings: Analysis, *, whole: bool) -> str:
    values = {site: pearson(pairs_with_eval_loss(run, f"{metric}_{site}", settings, whole=whole)) for site in _SITES}
    texts = ("none" if r is None else shown.number(r, 3, signed=True) for r in values.values())
    return ",  ".join(f"$r_\\mathrm{{{site}}}$ = {text}" for site, text in zip(values, texts, strict=True))


def _highest_js(aggregates: Aggregates) -> float:
    """The largest divergence in any of these figures, so that one colour means the same in all of them."""
    runs = [run for baseline in _BASELINES.values() if (run := aggregates.find(**baseline)) is not None]
    cells = np.concatenate([run.grid("js").values_SL.ravel() for run in runs if not run.spectra.is_empty()])
    return float(cells[np.isfinite(cells)].max(initial=0))


def _js_panel(axes: Axes, run: Run, *, highest: float) -> None:
    axes.set_title("Jensen-Shannon divergence\npre to post, by layer")
    grid = run.grid("js")
    if min(grid.values_SL.shape) < 2 or not np.isfinite(grid.values_SL).all():
        note(axes, "too few measured cells for contours")
        return
    layers_L = np.arange(1, grid.values_SL.shape[1] + 1)
    levels = MaxNLocator(12).tick_values(0, highest)
    contours = axes.contourf(grid.steps_S, layers_L, grid.values_SL.T, levels=levels, cmap="viridis")
    # A few thousand polygons in print-sharp vectors would outweigh the rest of the page.
    contours.set_rasterized(True)
    steps_SL, layers_SL = np.meshgrid(grid.steps_S, layers_L, indexing="ij")
    axes.plot(steps_SL.ravel(), layers_SL.ravel(), ".", color="white", markersize=2.2, clip_on=False)
    axes.set_xlabel("step")
    axes.set_ylabel("layer")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    bar = axes.figure.colorbar(contours, cax=axes.inset_axes((1.03, 0, 0.045, 1)), label="nats")
    bar.ax.yaxis.set_major_locator(MaxNLocator(5))
    bar.solids.set_rasterized(True)


def _figure(number: int, name: str) -> Figure:
    model = architecture(_BASELINES[number])
    return Figure(
        id=f"figure-{number:02}-{name}",
        title=f"After the paper's Figure {number}: {model}, the spectrum before and after the nonlinearity",
        caption=(
            f"{model} over training. Lines: mean over layers, pre (circles) and post (squares) set slightly apart; "
            "bars: one standard deviation over layers; dashed, on the right axis: probe eval loss ({probe_tokens} "
            "held-out tokens) at the same steps. r is Pearson's, of the mean over layers against that loss. "
            f"{WINDOW} The grey span is left out of r, save that of the whole run. Last panel: "
            "Jensen-Shannon divergence between the pre- and post-activation spectra, layer by step; dots are what was "
            "measured, the filled contours interpolate between them, and colours mean the same in Figures 1 and 3. "
            f"{SEEDS}"
        ),
        draw=partial(_draw, number=number),
    )


TRAINING = (_figure(1, "preln-gelu"), _figure(3, "preln-relu"))
