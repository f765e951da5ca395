"""Every table, in its order on the page. A new table is a module beside this one and a line here."""

from nervelab.analysis.tables.baselines import BASELINES
from nervelab.analysis.tables.bases import BASES
from nervelab.analysis.tables.evidence import MEASUREMENTS, NOISE, QUANTITIES_BY_RUN
from nervelab.analysis.tables.experiments import EXPERIMENTS, TABLE_12, TABLE_13
from nervelab.analysis.tables.learning_rates import RATES
from nervelab.analysis.tables.lengths import LENGTHS
from nervelab.analysis.tables.measuring_mode import MEASURING_MODE
from nervelab.analysis.tables.settings import SETTINGS
from nervelab.analysis.tables.table_02 import PERPLEXITY
from nervelab.analysis.tables.table_03 import TABLE_3_CHECKPOINTS, TABLE_3_WIDTHS
from nervelab.analysis.tables.table_07 import TABLE_7
from nervelab.analysis.tables.table_08_09 import TABLE_8, TABLE_9
from nervelab.analysis.tables.table_11 import TABLE_11
from nervelab.analysis.tables.token_positions import BY_POSITION
from nervelab.analysis.tables.verdicts_before_and_after import BEFORE

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
