"""Every finding, in its order on the page. A new finding is an entry of a module beside this one, listed here."""

from nervelab.analysis.findings.appendix_g import FIDELITY
from nervelab.analysis.findings.finding import Finding
from nervelab.analysis.findings.section_3_1 import ACTIVATIONS, REINJECTION
from nervelab.analysis.findings.section_3_1_layers import LAYERS
from nervelab.analysis.findings.section_3_2 import NORMFREE
from nervelab.analysis.findings.section_3_4 import PLACEMENT
from nervelab.analysis.findings.section_3_5 import PREDICTION

FINDINGS: tuple[Finding, ...] = (*REINJECTION, *LAYERS, *ACTIVATIONS, *NORMFREE, *PLACEMENT, *PREDICTION, *FIDELITY)
