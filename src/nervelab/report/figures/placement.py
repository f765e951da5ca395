"""Figure 6: how much of its width an FFN uses, by width and placement of the norm."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator, NullLocator

from nervelab.aggregates.find import SEEDS, Aggregates, over_widths
from nervelab.aggregates.run import Run
from nervelab.paper.architectures import BY_PLACEMENT, WIDTHS
from nervelab.report.figures import panels
from nervelab.report.figures.figure import FAILED, LOSS, WIDTH, Figure
from nervelab.words.labels import NOT_RUN, architecture

_NUMBER = 6
_TRAINED = {"edgecolor": LOSS, "facecolor": "0.93"}
_NOT_TRAINED = {"edgecolor": FAILED, "facecolor": "white", "hatch": "////"}


def _draw(aggregates: Aggregates) -> Canvas:
    sweeps = {
        architecture(model): dict(zip(WIDTHS, over_widths(aggregates, model), strict=True))
        for model in BY_PLACEMENT.values()
    }
    measured = [run for runs in sweeps.values() for run in runs.values() if panels.missing(run) is None]
    if not measured:
        return panels.bare([f"{', '.join(sweeps)}: nothing measured at this scale"])
    canvas = Canvas(figsize=(WIDTH, 3.3), layout="constrained")
    row = canvas.subplots(1, len(sweeps), sharey=True)
    for axes, (name, runs) in zip(row, sweeps.items(), strict=True):
        axes.set_title(name)
        _panel(axes, runs)
    row[0].set_ylabel("PR post / D")
    # Shares that fall by equal factors fall by equal lengths: wide FFNs stay as readable as narrow ones.
    if panels.can_be_logarithmic(measured, "pr_post"):
        row[0].set_yscale("log")
        row[0].yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        row[0].yaxis.set_major_formatter(lambda share, _: f"{share:g}")
        row[0].yaxis.set_minor_locator(NullLocator())
    panels.layer_bar(row[-1].inset_axes((1.06, 0, 0.06, 1)), measured[0], orientation="vertical")
    keys = [Patch(**_TRAINED, label="quartiles and range over layers")]
    if any(run.failed for run in measured):
        keys.append(Patch(**_NOT_TRAINED, label="failed: not a trained network"))
    canvas.legend(handles=keys, loc="outside lower center", ncols=len(keys), frameon=False)
    panels.head(canvas, _NUMBER, "GELU", measured, aggregates.scale)
    return canvas


def _panel(axes: Axes, runs: dict[int, Run | None]) -> None:
    for multiple, run in runs.items():
        if panels.missing(run) is None:
            _box(axes, multiple, run)
            continue
        why, colour = (NOT_RUN, LOSS) if run is None else (run.state, FAILED)
        style = {"rotation": 90, "ha": "center", "va": "bottom", "color": colour, "size": 7}
        axes.text(multiple, 0.02, why, transform=axes.get_xaxis_transform(), **style)
    axes.set_xlim(min(runs) - 0.6, max(runs) + 0.6)
    axes.set_xticks(list(runs), [f"{multiple}d" for multiple in runs])
    axes.set_xlabel("FFN width D")


def _box(axes: Axes, multiple: int, run: Run) -> None:
    shares_L = run.grid("pr_post").values_SL[-1] / run.width
    colour = FAILED if run.failed else LOSS
    lines = {part: {"color": colour, "linewidth": 0.9} for part in ("whiskerprops", "capprops")}
    axes.boxplot(
        shares_L[np.isfinite(shares_L)],
        positions=[multiple],
        widths=0.7,
        whis=(0, 100),
        patch_artist=True,
        boxprops=_NOT_TRAINED if run.failed else _TRAINED,
        medianprops={"color": colour},
        manage_ticks=False,
        **lines,
    )
    aside_L = np.linspace(-0.24, 0.24, len(shares_L))
    axes.scatter(multiple + aside_L, shares_L, s=8, c=panels.layer_colours(len(shares_L)), zorder=3)


PLACEMENT = (
    Figure(
        id="figure-06-placement",
        title="After the paper's Figure 6: the share of its width that an FFN uses, by width and placement of the norm",
        caption=(
            "GELU models with PreLN, MixLN and PostLN at D = 1d to 8d: participation ratio after the nonlinearity "
            "divided by D, at the last measured step, on a logarithmic axis. Points: layers, the first leftmost; "
            "boxes: their quartiles, with the median; whiskers: the lowest and the highest layer. A width whose run "
            "failed is red and hatched. "
            f"{SEEDS}"
        ),
        draw=_draw,
    ),
)
