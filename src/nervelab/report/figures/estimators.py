"""Figures 19 to 21: the post-activation spectrum over layers and training, as estimators see it."""

from __future__ import annotations

from functools import partial

from matplotlib.figure import Figure as Canvas

from nervelab.aggregates.estimated import fidelity
from nervelab.aggregates.find import Aggregates
from nervelab.paper.architectures import PRELN_GELU
from nervelab.report.figures import panels, signatures
from nervelab.report.figures.figure import Figure
from nervelab.spectra.names import parse
from nervelab.words.labels import estimator_named
from nervelab.words.runs import named

_KINDS = {19: ("sampling",), 20: ("randsvd",), 21: ("lanczos", "bkq")}


def _draw(aggregates: Aggregates, *, number: int) -> Canvas:
    measured = fidelity(aggregates)
    if measured is None:
        return panels.bare([f"{named(PRELN_GELU)} was not measured by several estimators at this scale"])
    runs = {name: run for name, run in measured.estimated.items() if parse(name).kind in _KINDS[number]}
    columns = {"full": measured.full} | {_short(name): run for name, run in runs.items()}
    return signatures.draw({named(PRELN_GELU): columns}, number, named(PRELN_GELU), aggregates.scale)


def _short(name: str) -> str:
    """An estimator's name on two lines, without the words that the title has."""
    words = estimator_named(name)
    for said in ("RandSVD, ", "Lanczos, ", " of tokens"):
        words = words.replace(said, "")
    return words.replace(", ", "\n")


def _figure(number: int, name: str, what: str) -> Figure:
    return Figure(
        id=f"figure-{number}-{name}",
        title=f"After the paper's Figure {number}: {named(PRELN_GELU)}, the post-activation spectrum by {what}",
        caption=(
            f"{named(PRELN_GELU)}, D = 4d, measured by {what} from the same activations, a column each, beside the "
            "full spectrum: spectral entropy and participation ratio after the nonlinearity, by layer (upwards) and "
            f"step. {signatures.SCALE} The numbering of Figures 19 to 21 is ours."
        ),
        draw=partial(_draw, number=number),
    )


ESTIMATORS = (
    _figure(19, "sampling", "samples of the tokens"),
    _figure(20, "randsvd", "randomised SVD"),
    _figure(21, "lanczos", "Lanczos and block Krylov quadrature"),
)
