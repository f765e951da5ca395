"""Every table, in its order on the page. A new table is a module beside this one and a line here."""

from nervelab.analysis.tables.baselines import BASELINES
from nervelab.analysis.tables.bases import BASES
from nervelab.analysis.tables.before import BEFORE
from nervelab.analysis.tables.correlations import TABLE_3_CHECKPOINTS, TABLE_3_WIDTHS
from nervelab.analysis.tables.evidence import MEASUREMENTS, NOISE, QUANTITIES_BY_RUN
from nervelab.analysis.tables.experiments import EXPERIMENTS, TABLE_12, TABLE_13
from nervelab.analysis.tables.fidelity import TABLE_8, TABLE_9
from nervelab.analysis.tables.lengths import LENGTHS
from nervelab.analysis.tables.measuring import MEASURING_MODE
from nervelab.analysis.tables.memory import TABLE_11
from nervelab.analysis.tables.perplexity import PERPLEXITY
from nervelab.analysis.tables.positions import BY_POSITION
from nervelab.analysis.tables.rates import RATES
from nervelab.analysis.tables.settings import SETTINGS
from nervelab.analysis.tables.width import TABLE_7

TABLES = (
    SETTINGS,
    BASES,
    PERPLEXITY,
    TABLE_3_CHECKPOINTS,
    TABLE_3_WIDTHS,
    TABLE_7,
    TABLE_8,
    TABLE_9,
    TABLE_11,
    TABLE_12,
    TABLE_13,
    *EXPERIMENTS,
    BY_POSITION,
    MEASURING_MODE,
    RATES,
    LENGTHS,
    BEFORE,
    BASELINES,
    NOISE,
    QUANTITIES_BY_RUN,
    MEASUREMENTS,
)
