"""Figures 1 and 3: the four metrics over training, before and after the nonlinearity."""

from __future__ import annotations

from functools import partial
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from nervelab.aggregates.find import SEEDS, Aggregates
from nervelab.aggregates.run import Run
from nervelab.aggregates.window import pairs_with_eval_loss, window_start_step
from nervelab.report.figures.figure import LOSS, WIDTH, Figure
from nervelab.report.figures.panels import (
    MARKED,
    bare,
    head,
    highest,
    js_contours,
    missing,
    site_keys,
    spread_lines,
)
from nervelab.statistics.within_run import pearson
from nervelab.words import numbers as shown
from nervelab.words.labels import WINDOW, architecture
from nervelab.words.metrics import SITES, SPECTRAL

_BASELINES: dict[int, dict[str, Any]] = {
    1: {"placement": "preln", "activation": "gelu"},
    3: {"placement": "preln", "activation": "relu"},
}
_LEFT_OUT = "0.92"


def _legend() -> list[Artist]:
    return [
        *site_keys(),
        Line2D([], [], color=LOSS, linestyle="--", label="probe eval loss"),
        Patch(color=_LEFT_OUT, label="left out of r"),
    ]


def _draw(aggregates: Aggregates, *, number: int) -> Canvas:
    baseline = _BASELINES[number]
    run = aggregates.find(**baseline)
    if (why := missing(run)) is not None:
        return bare([f"{architecture(baseline)}: {why}"])
    canvas = Canvas(figsize=(WIDTH, 6.0), layout="constrained")
    canvas.get_layout_engine().set(wspace=0.07, hspace=0.05)
    panels = canvas.subplots(2, 2)
    *of_spectra, last = panels.flat
    for axes, metric in zip(of_spectra, SPECTRAL, strict=True):
        _metric_panel(axes, run, metric)
    _js_panel(last, run, top=highest([aggregates.find(**other) for other in _BASELINES.values()], "js"))
    canvas.legend(handles=_legend(), loc="outside lower center", ncols=len(_legend()), frameon=False)
    warning = f"This run is {run.state}: not a trained network" if run.failed else ""
    head(canvas, number, architecture(run.row), [run], aggregates.scale, warning=warning)
    return canvas


def _metric_panel(axes: Axes, run: Run, metric: str) -> None:
    spread_lines(axes, run, metric)
    axes.axvspan(0, window_start_step(run), color=_LEFT_OUT, linewidth=0, zorder=0)
    window, whole = (_correlations(run, metric, whole=whole) for whole in (False, True))
    axes.set_title(f"{SPECTRAL[metric].name.capitalize()}\n{window}\nwhole run: {whole}")
    axes.set_xlabel("step")
    axes.set_ylabel(SPECTRAL[metric].unit)
    axes.margins(x=0.02, y=0.1)
    loss_axes = axes.twinx()
    steps_S = run.grid(f"{metric}_post").steps_S
    loss_axes.plot(steps_S, run.eval_loss_at(steps_S), color=LOSS, linestyle="--", linewidth=1)
    loss_axes.set_ylabel("probe eval loss (nats)", color=LOSS)
    loss_axes.tick_params(axis="y", colors=LOSS)


def _correlations(run: Run, metric: str, *, whole: bool) -> str:
    values = {site: pearson(pairs_with_eval_loss(run, f"{metric}_{site}", whole=whole)) for site in SITES}
    texts = ("none" if r is None else shown.number(r, 3, signed=True) for r in values.values())
    return ",  ".join(f"$r_\\mathrm{{{site}}}$ = {text}" for site, text in zip(values, texts, strict=True))


def _js_panel(axes: Axes, run: Run, *, top: float) -> None:
    axes.set_title("Jensen-Shannon divergence\npre to post, by layer")
    contours = js_contours(axes, run, top=top)
    if contours is not None:
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
            f"{MARKED} {SEEDS}"
        ),
        draw=partial(_draw, number=number),
    )


TRAINING = (_figure(1, "preln-gelu"), _figure(3, "preln-relu"))
