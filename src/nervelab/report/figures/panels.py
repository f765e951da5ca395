"""What several figures draw: panels of one run, their keys, and the line by which a picture can stand alone."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import QuadMesh
from matplotlib.colors import BoundaryNorm, ListedColormap, Normalize
from matplotlib.contour import QuadContourSet
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from nervelab.aggregates.run import Grid, Run
from nervelab.aggregates.window import window_start_step
from nervelab.report.figures.figure import FAILED, LOSS, POST, PRE, WIDTH, note
from nervelab.words.labels import NOT_RUN

# Colour, marker, and the share of the steps by which points are set aside, lest bars hide one another.
_SITES = {"pre": (PRE, "o", -0.004), "post": (POST, "s", 0.004)}
_MARKS = 16
MARKED = f"Of more than {_MARKS} measured steps only every n-th has bars and dots."
"""What `spread_lines` and `js_contours` do lest marks run into one another, said to readers."""
HEAT = "viridis"
"""The colours of `heat_map` and `js_contours`."""


def site_keys() -> list[Line2D]:
    """Legend entries of `spread_lines`; they take their style from the figure that is being drawn."""
    return [
        Line2D([], [], color=colour, marker=marker, markersize=4, label=f"{site}-activation")
        for site, (colour, marker, _) in _SITES.items()
    ]


def missing(run: Run | None) -> str | None:
    """Why there is nothing to draw of a run, for a note; None if there is something."""
    if run is None:
        return NOT_RUN
    return f"{run.state}, before anything was measured" if run.spectra.is_empty() else None


def bare(lines: Iterable[str]) -> Canvas:
    """A canvas that says why there is no picture."""
    canvas = Canvas(figsize=(WIDTH, 1))
    note(canvas.subplots(), "\n".join(lines))
    return canvas


def head(canvas: Canvas, number: int, subject: str, runs: Sequence[Run], scale: str, *, warning: str = "") -> None:
    """One line by which the picture can stand alone, below a warning if there is one."""
    model = runs[0].config["model"]
    seeds = sorted({run.row["seed"] for run in runs})
    facts = (
        f"After NerVE, Figure {number}",
        f"{subject}, {model['layers']} layers, d = {model['d_model']}, D = {_span(run.width for run in runs)}",
        runs[0].row["dataset"],
        f"{scale} scale, {'seed' if len(seeds) == 1 else 'seeds'} {', '.join(map(str, seeds))}",
    )
    first = f"{warning}\n" if warning else ""
    canvas.suptitle(first + "  ·  ".join(facts), fontsize=8, color=FAILED if warning else LOSS, x=0.01, ha="left")


def spread_lines(axes: Axes, run: Run, metric: str, *, markersize: float = 3) -> None:
    """A metric before and after the nonlinearity over training: mean over layers, one standard deviation as bars."""
    for site, (colour, marker, aside) in _SITES.items():
        grid = run.grid(f"{metric}_{site}")
        mean_S, spread_S = grid.values_SL.mean(axis=1), grid.values_SL.std(axis=1)
        steps_S = grid.steps_S + aside * run.row["steps"]
        every = _every(grid)
        style = {"color": colour, "marker": marker, "markersize": markersize, "elinewidth": 0.8, "capsize": 1.5}
        axes.errorbar(steps_S, mean_S, yerr=spread_S, errorevery=every, markevery=every, **style)


def heading(axes: Axes, text: str, *, lines_below: int = 0, failed: bool = False) -> None:
    """The name of a row of panels above its first, which it may outrun; below it room for lines of other titles."""
    # The layout would widen a panel for a long title, so an empty one makes the room.
    room = axes.set_title(" " + "\n" * lines_below, loc="left")
    style = {"size": room.get_size(), "color": FAILED if failed else room.get_color()}
    axes.annotate(text, (0, 1), xycoords=room, va="top", annotation_clip=False, **style).set_in_layout(False)


def highest(runs: Iterable[Run | None], metric: str, *, windowed: bool = False) -> float:
    """The largest value of a metric in any of the runs, so that one colour can mean the same in all of them.

    Args:
        runs: some of them may be absent or unmeasured.
        metric: a column of spectra.parquet.
        windowed: whether only the window's checkpoints count.
    """
    cells = [np.empty(0)]
    for run in runs:
        if missing(run) is None:
            grid = run.grid(metric)
            start = window_start_step(run) if windowed else 0
            cells.append(grid.values_SL[grid.steps_S >= start].ravel())
    measured = np.concatenate(cells)
    return float(measured[np.isfinite(measured)].max(initial=0))


def can_be_logarithmic(runs: Iterable[Run], metric: str) -> bool:
    """Whether any of the runs has a value of a metric that a logarithmic axis can show."""
    values = [run.grid(metric).values_SL for run in runs]
    return any((np.isfinite(each) & (each > 0)).any() for each in values)


def js_contours(axes: Axes, run: Run, *, top: float) -> QuadContourSet | None:
    """Jensen-Shannon divergence as filled contours, layer by step, from 0 to `top`; None, with a note, below 2 by 2."""
    grid = run.grid("js")
    if min(grid.values_SL.shape) < 2 or not np.isfinite(grid.values_SL).all():
        note(axes, "too few measured\ncells for contours")
        return None
    layers_L = np.arange(1, grid.values_SL.shape[1] + 1)
    levels = MaxNLocator(12).tick_values(0, top)
    contours = axes.contourf(grid.steps_S, layers_L, grid.values_SL.T, levels=levels, cmap=HEAT)
    # A few thousand polygons in print-sharp vectors would outweigh the rest of the page.
    contours.set_rasterized(True)
    steps_SL, layers_SL = np.meshgrid(grid.steps_S[:: _every(grid)], layers_L, indexing="ij")
    axes.plot(steps_SL.ravel(), layers_SL.ravel(), ".", color="white", markersize=2.2, clip_on=False)
    axes.set_xlabel("step")
    axes.set_ylabel("layer")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    return contours


def heat_map(axes: Axes, run: Run, metric: str, norm: Normalize) -> QuadMesh | None:
    """A metric by layer and step, a cell around each measured step; None, with a note, where one step was measured."""
    grid = run.grid(metric)
    steps_S = grid.steps_S
    if len(steps_S) < 2:
        note(axes, "too few\nmeasured steps")
        return None
    step_edges = np.concatenate([steps_S[:1], (steps_S[1:] + steps_S[:-1]) / 2, steps_S[-1:]])
    layer_edges = np.arange(grid.values_SL.shape[1] + 1) + 0.5
    mesh = axes.pcolormesh(step_edges, layer_edges, grid.values_SL.T, norm=norm, cmap=HEAT, rasterized=True)
    # A run that stopped early leaves its remaining steps blank.
    axes.set_xlim(0, run.row["steps"])
    axes.set_xlabel("step")
    axes.set_ylabel("layer")
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    return mesh


def layer_colours(layers: int) -> list[tuple[float, float, float]]:
    """A colour a layer, from blue (early) to orange-red (deep), ever lighter: ordered without colour vision too."""
    return [tuple(rgba[:3]) for rgba in mpl.colormaps["plasma"](np.linspace(0, 0.72, layers))]


def layer_bar(cax: Axes, run: Run, *, orientation: str) -> None:
    """The key of `layer_colours`."""
    layers = run.config["model"]["layers"]
    edges = np.arange(layers + 1) + 0.5
    colours = ScalarMappable(BoundaryNorm(edges, layers), ListedColormap(layer_colours(layers)))
    bar = cax.figure.colorbar(colours, cax=cax, orientation=orientation, label="layer")
    bar.set_ticks(range(1, layers + 1, max(1, layers // 6)))
    bar.minorticks_off()


def _every(grid: Grid) -> int:
    """The n of `MARKED`."""
    return math.ceil(len(grid.steps_S) / _MARKS)


def _span(values: Iterable[int]) -> str:
    ends = sorted(set(values))
    return f"{ends[0]} to {ends[-1]}" if len(ends) > 1 else str(ends[0])
