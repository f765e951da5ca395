"""What a figure of the report is, and how it becomes the same bytes every time."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import dataclass

import matplotlib as mpl
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from nervelab.aggregates.find import Aggregates

# Text becomes outlines of a font that matplotlib carries: the page then looks the same wherever it is read.
# svg.hashsalt and the absent date make a second rendering byte-identical.
STYLE = sns.axes_style("ticks") | {
    "font.family": "DejaVu Sans",
    "font.size": 8.5,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.labelsize": 8.5,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "lines.linewidth": 1.4,
    "svg.fonttype": "path",
}
# Distinguishable with every common colour vision deficiency.
_PALETTE = sns.color_palette("colorblind")
PRE, POST, LOSS, FAILED = _PALETTE[0], _PALETTE[1], (0.35, 0.35, 0.35), _PALETTE[3]
_NO_METADATA = dict.fromkeys(("Date", "Creator", "Format", "Type"))
# matplotlib names an image after its content: two equal images would share one id, which nothing refers to.
_IMAGE_ID = re.compile(r' id="image[0-9a-f]+"')
WIDTH = 7.2
"""Width of a figure in inches: a text column at full size."""


@dataclass(frozen=True)
class Figure:
    """A figure, rendered to results/figures/<id>.svg.

    Attributes:
        id: name of the file.
        title: one line.
        caption: what is seen, for the page; may use the names of `facts` in braces.
        draw: paints it; a run that is absent or failed must be shown as that.
    """

    id: str
    title: str
    caption: str
    draw: Callable[[Aggregates], Canvas]


def svg(figure: Figure, aggregates: Aggregates) -> str:
    """The figure as SVG text."""
    content = io.StringIO()
    with mpl.rc_context():
        mpl.rcdefaults()  # a matplotlibrc of the user's has no say
        mpl.rcParams.update(STYLE | {"svg.hashsalt": figure.id})
        figure.draw(aggregates).savefig(content, format="svg", dpi=150, metadata=_NO_METADATA)
    return _IMAGE_ID.sub("", content.getvalue())


def note(axes: Axes, text: str, *, size: float | None = None) -> None:
    """Say in an otherwise empty panel why it is empty."""
    axes.text(0.5, 0.5, text, ha="center", va="center", transform=axes.transAxes, color=LOSS, size=size)
    axes.set_axis_off()
