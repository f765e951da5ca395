"""Every finding, in its order on the page. A new finding is an entry of a module beside this one, listed here."""

from nervelab.analysis.findings.activations import ACTIVATIONS
from nervelab.analysis.findings.fidelity import FIDELITY
from nervelab.analysis.findings.finding import Finding
from nervelab.analysis.findings.normfree import NORMFREE
from nervelab.analysis.findings.placement import PLACEMENT
from nervelab.analysis.findings.prediction import PREDICTION
from nervelab.analysis.findings.reinjection import REINJECTION

FINDINGS: tuple[Finding, ...] = (*REINJECTION, *ACTIVATIONS, *NORMFREE, *PLACEMENT, *PREDICTION, *FIDELITY)
