"""Signatures: SE_post and PR_post by layer and step, in columns that share one colour scale a metric."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from textwrap import fill

from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import MaxNLocator

from nervelab.aggregates.run import Run
from nervelab.report.figures import panels
from nervelab.report.figures.figure import FAILED, STYLE, WIDTH, note
from nervelab.words.metrics import SPECTRAL

Columns = dict[str, Run | None]
"""Runs by the name of their column; None where there is none."""

SCALE = (
    "One colour scale a metric, for all columns: from 0 to the highest value from {window} of the training steps "
    "on; what exceeds it earlier has the brightest colour."
)
"""How colours are to be read, said to readers."""


def draw(groups: dict[str, Columns], number: int, subject: str, scale: str) -> Canvas:
    """Two rows of maps for each group, SE_post above PR_post, a column a run.

    Args:
        groups: columns by the name of their group, which is shown above it where there are several.
        number: of the paper's figure.
        subject: what the runs are, for the head of the picture.
        scale: at which they were trained.
    """
    measured = [run for columns in groups.values() for run in columns.values() if panels.missing(run) is None]
    if not measured:
        return panels.bare([f"{', '.join(groups)}: nothing measured at this scale"])
    # A height that is not a whole number of the raster's pixels would shift the maps against their frames.
    canvas = Canvas(figsize=(WIDTH, 2.5 * len(groups)), layout="constrained")
    canvas.get_layout_engine().set(wspace=0, hspace=0.02, w_pad=0.03)
    rows = canvas.subplots(2 * len(groups), max(map(len, groups.values())))
    norms = {metric: Normalize(0, _top(measured, f"{metric}_post")) for metric in ("se", "pr")}
    for k, (name, columns) in enumerate(groups.items()):
        entropy, ratio = rows[2 * k : 2 * k + 2]
        _row(entropy, columns.values(), "se", norms["se"])
        _row(ratio, columns.values(), "pr", norms["pr"])
        _name_columns(entropy, columns)
        if len(groups) > 1:
            panels.heading(entropy[0], name, lines_below=1)
        _name_steps(ratio, columns.values())
    panels.head(canvas, number, subject, measured, scale)
    return canvas


def _top(runs: Sequence[Run], metric: str) -> float:
    """The end of a scale: what the first steps bring, on random embeddings, is not to outshine what is learnt."""
    return panels.highest(runs, metric, windowed=True) or panels.highest(runs, metric)


def _row(row: Sequence[Axes], runs: Iterable[Run | None], metric: str, norm: Normalize) -> None:
    """One metric in every column on one scale, its key at the right."""
    for axes, run in zip(row, runs, strict=True):
        if (why := panels.missing(run)) is not None:
            note(axes, fill(why, 10), size=7)
        else:
            panels.heat_map(axes, run, f"{metric}_post", norm)
        axes.set(xlabel="", ylabel="", xticks=[])
        axes.tick_params(left=False, labelleft=False)
    drawn = [axes for axes in row if axes.axison]
    if not drawn:
        return
    drawn[0].set_ylabel(f"{SPECTRAL[metric].short} post\nlayer")
    drawn[0].tick_params(left=True, labelleft=True)
    cax = row[-1].inset_axes((1.1, 0, 0.12, 1))
    colours = ScalarMappable(norm, panels.HEAT)
    bar = cax.figure.colorbar(colours, cax=cax, label=SPECTRAL[metric].unit, ticks=MaxNLocator(4), extend="max")
    bar.solids.set_rasterized(True)


def _name_columns(row: Sequence[Axes], columns: Columns) -> None:
    for axes, (label, run) in zip(row, columns.items(), strict=True):
        failed = run is not None and run.failed
        name = f"{label} {run.row['outcome']}" if failed else label
        axes.set_title(name, loc="center", size=8, color=FAILED if failed else STYLE["text.color"])


def _name_steps(row: Sequence[Axes], runs: Iterable[Run | None]) -> None:
    """The first and the last step below each column, kept from running into its neighbours'."""
    for axes, run in zip(row, runs, strict=True):
        if axes.axison:
            axes.set_xticks([0, run.row["steps"]], ["0", str(run.row["steps"])])
            for label, side in zip(axes.get_xticklabels(), ("left", "right"), strict=True):
                label.set_ha(side)
            axes.set_xlabel("step")
