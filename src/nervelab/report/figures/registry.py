"""Every figure, in its order on the page. A new figure is a module beside this one and a line here."""

from nervelab.report.figures.estimators import ESTIMATORS
from nervelab.report.figures.figure import Figure
from nervelab.report.figures.normfree import NORMFREE
from nervelab.report.figures.placement import PLACEMENT
from nervelab.report.figures.training import TRAINING
from nervelab.report.figures.widths import WIDTH_SWEEPS

FIGURES: tuple[Figure, ...] = (*TRAINING, *NORMFREE, *PLACEMENT, *WIDTH_SWEEPS, *ESTIMATORS)
