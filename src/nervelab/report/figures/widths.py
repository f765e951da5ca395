"""Figures 14 to 18: the post-activation spectrum over layers and training, from width to width."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from textwrap import fill
from typing import Any

from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import MaxNLocator

from nervelab.analysis.aggregates import SEEDS, Aggregates, Run
from nervelab.analysis.labels import PLACEMENTS, SHORT, UNITS, architecture
from nervelab.report.figures import panels
from nervelab.report.figures.figure import FAILED, STYLE, WIDTH, Figure, note
from nervelab.study.decisions import Analysis

_MULTIPLES = range(1, 9)
_SWEEPS: dict[int, tuple[dict[str, Any], ...]] = {
    14: ({"placement": "preln", "activation": "gelu"},),
    15: ({"placement": "preln", "activation": "relu"},),
    16: ({"placement": "none", "activation": "gelu"},),
    17: ({"placement": "none", "activation": "relu"}, {"placement": "none", "activation": "learnable-leaky-relu"}),
    18: ({"placement": "preln", "activation": "geglu"}, {"placement": "preln", "activation": "swiglu"}),
}


def sweep(aggregates: Aggregates, settings: dict[str, Any]) -> dict[int, Run | None]:
    """The runs with these settings, by k in D = kd."""
    return {multiple: aggregates.find(**settings, width_multiple=multiple) for multiple in _MULTIPLES}


def _draw(aggregates: Aggregates, settings: Analysis, *, number: int) -> Canvas:
    sweeps = {architecture(swept): sweep(aggregates, swept) for swept in _SWEEPS[number]}
    measured = [run for runs in sweeps.values() for run in runs.values() if panels.missing(run) is None]
    if not measured:
        return panels.bare([f"{', '.join(sweeps)}: nothing measured at this scale"])
    # A height that is not a whole number of the raster's pixels would shift the maps against their frames.
    canvas = Canvas(figsize=(WIDTH, 2.5 * len(sweeps)), layout="constrained")
    canvas.get_layout_engine().set(wspace=0, hspace=0.02, w_pad=0.03)
    rows = canvas.subplots(2 * len(sweeps), len(_MULTIPLES))
    norms = {metric: Normalize(0, _top(measured, f"{metric}_post", settings)) for metric in ("se", "pr")}
    for k, (name, runs) in enumerate(sweeps.items()):
        entropy, ratio = rows[2 * k : 2 * k + 2]
        _row(entropy, runs, "se", norms["se"])
        _row(ratio, runs, "pr", norms["pr"])
        _name_columns(entropy, runs)
        if len(sweeps) > 1:
            panels.heading(entropy[0], name, lines_below=1)
        _name_steps(ratio, runs)
    subject = PLACEMENTS[measured[0].row["placement"]] if len(sweeps) > 1 else name
    panels.head(canvas, number, subject, measured, aggregates.scale)
    return canvas


def _top(runs: Sequence[Run], metric: str, settings: Analysis) -> float:
    """The end of a scale: what the first steps bring, on random embeddings, is not to outshine what is learnt."""
    return panels.highest(runs, metric, since=settings.window_start) or panels.highest(runs, metric)


def _row(row: Sequence[Axes], runs: dict[int, Run | None], metric: str, norm: Normalize) -> None:
    """One metric at every width on one scale, its key at the right."""
    for axes, run in zip(row, runs.values(), strict=True):
        if (why := panels.missing(run)) is not None:
            note(axes, fill(why, 10), size=7)
        else:
            panels.heat_map(axes, run, f"{metric}_post", norm)
        axes.set(xlabel="", ylabel="", xticks=[])
        axes.tick_params(left=False, labelleft=False)
    drawn = [axes for axes in row if axes.axison]
    if not drawn:
        return
    drawn[0].set_ylabel(f"{SHORT[metric]} post\nlayer")
    drawn[0].tick_params(left=True, labelleft=True)
    cax = row[-1].inset_axes((1.1, 0, 0.12, 1))
    colours = ScalarMappable(norm, panels.HEAT)
    bar = cax.figure.colorbar(colours, cax=cax, label=UNITS[metric], ticks=MaxNLocator(4), extend="max")
    bar.solids.set_rasterized(True)


def _name_columns(row: Sequence[Axes], runs: dict[int, Run | None]) -> None:
    for axes, (multiple, run) in zip(row, runs.items(), strict=True):
        failed = run is not None and run.failed
        name = f"{multiple}d {run.row['outcome']}" if failed else f"{multiple}d"
        axes.set_title(name, loc="center", size=8, color=FAILED if failed else STYLE["text.color"])


def _name_steps(row: Sequence[Axes], runs: dict[int, Run | None]) -> None:
    """The first and the last step below each column, kept from running into its neighbours'."""
    for axes, run in zip(row, runs.values(), strict=True):
        if axes.axison:
            axes.set_xticks([0, run.row["steps"]], ["0", str(run.row["steps"])])
            for label, side in zip(axes.get_xticklabels(), ("left", "right"), strict=True):
                label.set_ha(side)
            axes.set_xlabel("step")


def _figure(number: int, name: str) -> Figure:
    models = " and ".join(map(architecture, _SWEEPS[number]))
    return Figure(
        id=f"figure-{number}-{name}",
        title=f"After the paper's Figure {number}: {models}, the post-activation spectrum from width to width",
        caption=(
            f"{models} at D = 1d to 8d, a column each: spectral entropy and participation ratio after the "
            "nonlinearity, by layer (upwards) and step, a cell around each measured step. One colour scale a metric, "
            "for all columns: from 0 to the highest value from {window} of the training steps on; what exceeds it "
            "earlier has the brightest colour. A failed run is named in red. The paper's text does not say which of "
            "its Figures 14 to 18 shows which model: the numbering is ours. "
            f"{SEEDS}"
        ),
        draw=partial(_draw, number=number),
    )


WIDTHS = (
    _figure(14, "widths-preln-gelu"),
    _figure(15, "widths-preln-relu"),
    _figure(16, "widths-normfree-gelu"),
    _figure(17, "widths-normfree-relu"),
    _figure(18, "widths-preln-gated"),
)
