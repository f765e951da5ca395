"""Every finding, in its order on the page. A new finding is a module beside this one and a line here."""

from nervelab.analysis.findings.finding import Finding
from nervelab.analysis.findings.reinjection import REINJECTION

FINDINGS: tuple[Finding, ...] = (*REINJECTION,)
