"""Figure 4: models without norms, under three activations."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from nervelab.aggregates.find import SEEDS, Aggregates
from nervelab.aggregates.run import Run
from nervelab.report.figures import panels
from nervelab.report.figures.figure import LOSS, WIDTH, Figure, note
from nervelab.words.labels import architecture

_NUMBER = 4
_ROWS = tuple({"placement": "none", "activation": name} for name in ("gelu", "relu", "learnable-leaky-relu"))
# The two columns of colour maps: the labels of their keys, and their ticks where they are not evenly spaced.
_MAPS = {"EEE post": (0, 0.5, 0.75, 1), "JS (nats)": None}
_COLUMNS = ("SE, pre and post", "PR gain, post / pre", "EEE post", "JS, pre to post")


def _draw(aggregates: Aggregates) -> Canvas:
    runs = {architecture(row): aggregates.find(**row) for row in _ROWS}
    measured = [run for run in runs.values() if panels.missing(run) is None]
    if not measured:
        return panels.bare(f"{name}: {panels.missing(run)}" for name, run in runs.items())
    canvas = Canvas(figsize=(WIDTH, 6.4), layout="constrained")
    canvas.get_layout_engine().set(wspace=0.02, hspace=0.02)
    cells = canvas.add_gridspec(len(runs) + 1, len(_COLUMNS), height_ratios=[*[1] * len(runs), 0.07])
    top_js = panels.highest(measured, "js")
    above, colours = [None] * len(_COLUMNS), {}
    for row, (name, run) in enumerate(runs.items()):
        if (why := panels.missing(run)) is not None:
            note(canvas.add_subplot(cells[row, :]), f"{name}: {why}")
            continue
        first = above[0] is None
        above = [canvas.add_subplot(cells[row, k], sharex=axes, sharey=axes) for k, axes in enumerate(above)]
        _heading(above, name, run, columns=first)
        colours |= _row(above, run, top_js=top_js, logarithmic=panels.can_be_logarithmic(measured, "pr_gain"))
        for axes in above:
            axes.xaxis.set_major_locator(MaxNLocator(3))
            axes.set_xlabel("step" if run is measured[-1] else "")
            axes.tick_params(labelbottom=run is measured[-1])
    _keys([canvas.add_subplot(cells[-1, k]) for k in range(len(_COLUMNS))], colours, measured[-1])
    panels.head(canvas, _NUMBER, "norm-free", measured, aggregates.scale)
    return canvas


def _heading(row: list[Axes], name: str, run: Run, *, columns: bool) -> None:
    state = f", {run.state}: not a trained network" if run.failed else ""
    panels.heading(row[0], name + state, lines_below=int(columns), failed=run.failed)
    for axes, column in zip(row, _COLUMNS, strict=True):
        axes.set_title(column if columns else "", loc="center")


def _row(row: list[Axes], run: Run, *, top_js: float, logarithmic: bool) -> dict[str, ScalarMappable]:
    """Draw the four panels of one run; what its two colour maps need for their keys."""
    entropy, gain, enrichment, divergence = row
    panels.spread_lines(entropy, run, "se", markersize=2)
    entropy.set_ylabel("nats")
    _gain_panel(gain, run, logarithmic=logarithmic)
    drawn = {
        # Squared, for EEE lies near 1 where spectra are top-heavy.
        "EEE post": panels.heat_map(enrichment, run, "eee_post", PowerNorm(2, vmin=0, vmax=1)),
        "JS (nats)": panels.js_contours(divergence, run, top=top_js),
    }
    return {label: colours for label, colours in drawn.items() if colours is not None}


def _gain_panel(axes: Axes, run: Run, *, logarithmic: bool) -> None:
    grid = run.grid("pr_gain")
    for values_S, colour in zip(grid.values_SL.T, panels.layer_colours(grid.values_SL.shape[1]), strict=True):
        axes.plot(grid.steps_S, values_S, color=colour, linewidth=1.1)
    axes.axhline(1, color=LOSS, linestyle="--", linewidth=0.8, zorder=1)
    if not logarithmic:
        return
    # A gain is a ratio: a doubling and a halving are the same distance from 1.
    axes.set_yscale("log", base=2)
    axes.yaxis.set_major_locator(LogLocator(2, numticks=6))
    axes.yaxis.set_major_formatter(lambda gain, _: f"{gain:g}")
    axes.yaxis.set_minor_locator(NullLocator())


def _keys(row: list[Axes], colours: dict[str, ScalarMappable], run: Run) -> None:
    entropy, gain, *maps = row
    entropy.set_axis_off()
    entropy.legend(handles=panels.site_keys(), loc="upper center", frameon=False, borderaxespad=0)
    panels.layer_bar(gain, run, orientation="horizontal")
    for cax, (label, ticks) in zip(maps, _MAPS.items(), strict=True):
        if label in colours:
            style = {"orientation": "horizontal", "label": label, "ticks": ticks or MaxNLocator(4)}
            bar = cax.figure.colorbar(colours[label], cax=cax, **style)
            bar.solids.set_rasterized(True)
        else:
            cax.set_axis_off()


NORMFREE = (
    Figure(
        id="figure-04-normfree",
        title="After the paper's Figure 4: norm-free models, the spectrum under three activations",
        caption=(
            "Norm-free GELU, ReLU and learnable leaky ReLU over training. SE: mean over layers, pre (circles) and post "
            "(squares) set slightly apart, bars one standard deviation over layers. PR gain: participation ratio post "
            "divided by pre, a line a layer, on a logarithmic axis; at the dashed line the nonlinearity leaves it as "
            "it was. EEE post: a cell around each measured step, colours from 0 to 1 by its square. Jensen-Shannon "
            "divergence: dots are what was measured, the filled contours interpolate between them, on one scale for "
            f"all rows. SE and PR gain share their axes down the rows. {panels.MARKED} {SEEDS}"
        ),
        draw=_draw,
    ),
)
