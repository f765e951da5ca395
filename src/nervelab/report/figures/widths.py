"""Figures 14 to 18: the post-activation spectrum over layers and training, from width to width."""

from __future__ import annotations

from functools import partial

from matplotlib.figure import Figure as Canvas

from nervelab.aggregates.find import SEEDS, Aggregates, over_widths
from nervelab.paper.architectures import (
    NORMFREE_GELU,
    NORMFREE_LRELU,
    NORMFREE_RELU,
    PRELN_GEGLU,
    PRELN_GELU,
    PRELN_RELU,
    PRELN_SWIGLU,
    WIDTHS,
    Model,
)
from nervelab.report.figures import signatures
from nervelab.report.figures.figure import Figure
from nervelab.words.labels import PLACEMENTS, architecture

_SWEEPS: dict[int, tuple[Model, ...]] = {
    14: (PRELN_GELU,),
    15: (PRELN_RELU,),
    16: (NORMFREE_GELU,),
    17: (NORMFREE_RELU, NORMFREE_LRELU),
    18: (PRELN_GEGLU, PRELN_SWIGLU),
}
_COLUMNS = tuple(f"{multiple}d" for multiple in WIDTHS)


def _draw(aggregates: Aggregates, *, number: int) -> Canvas:
    models = _SWEEPS[number]
    groups = {architecture(model): dict(zip(_COLUMNS, over_widths(aggregates, model), strict=True)) for model in models}
    subject = PLACEMENTS[models[0]["placement"]] if len(models) > 1 else architecture(models[0])
    return signatures.draw(groups, number, subject, aggregates.scale)


def _figure(number: int, name: str) -> Figure:
    models = " and ".join(map(architecture, _SWEEPS[number]))
    return Figure(
        id=f"figure-{number}-{name}",
        title=f"After the paper's Figure {number}: {models}, the post-activation spectrum from width to width",
        caption=(
            f"{models} at D = 1d to 8d, a column each: spectral entropy and participation ratio after the "
            f"nonlinearity, by layer (upwards) and step, a cell around each measured step. {signatures.SCALE} A "
            "failed run is named in red. The paper's text does not say which of its Figures 14 to 18 shows which "
            f"model: the numbering is ours. {SEEDS}"
        ),
        draw=partial(_draw, number=number),
    )


WIDTH_SWEEPS = (
    _figure(14, "widths-preln-gelu"),
    _figure(15, "widths-preln-relu"),
    _figure(16, "widths-normfree-gelu"),
    _figure(17, "widths-normfree-relu"),
    _figure(18, "widths-preln-gated"),
)
