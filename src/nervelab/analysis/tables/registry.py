"""Every table, in its order on the page. A new table is a module beside this one and a line here."""

from nervelab.analysis.tables.correlations import CORRELATIONS
from nervelab.analysis.tables.perplexity import PERPLEXITY
from nervelab.analysis.tables.settings import SETTINGS

TABLES = (SETTINGS, PERPLEXITY, CORRELATIONS)
