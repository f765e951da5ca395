import math
from dataclasses import replace

import pytest
from synthetic_runs import LAPTOP

from nervelab.analysis.tables.correlations import CORRELATIONS
from nervelab.analysis.tables.perplexity import PERPLEXITY
from nervelab.analysis.tables.registry import TABLES

# As printed in the paper's Table 2.
_PRINTED = {
    "PreLN GELU": 2.714,
    "PreLN ReLU": 2.774,
    "norm-free GELU": 3.223,
    "norm-free ReLU": 2.988,
    "norm-free learnable leaky ReLU": 3.081,
    "norm-free, weight norm in the FFN": 3.041,
    "norm-free, spectral norm in the FFN": 3.000,
    "norm-free, hyperspherical norm in the FFN": 3.122,
}
_LOSSES = {"PreLN GELU": 3.38, "PreLN ReLU": 3.29, "norm-free GELU": 3.61, "norm-free ReLU": 3.52}


def test_table_2_sets_measured_beside_printed(gather, settings):
    table = PERPLEXITY.build(gather(), settings)
    assert dict(table.select("architecture", "paper_perplexity").iter_rows()) == _PRINTED
    measured = dict(table.select("architecture", "measured_perplexity").iter_rows())
    for model, loss in _LOSSES.items():
        assert measured[model] == math.exp(loss)


def test_ranks_are_taken_among_rows_with_both_numbers(gather, settings):
    aggregates = gather([LAPTOP[0], LAPTOP[1], replace(LAPTOP[4], outcome="diverged"), LAPTOP[5]])
    table = PERPLEXITY.build(aggregates, settings)
    ranks = {row["architecture"]: (row["paper_rank"], row["measured_rank"]) for row in table.iter_rows(named=True)}
    assert ranks["PreLN GELU"] == (1, 2)
    assert ranks["PreLN ReLU"] == (2, 1)
    assert ranks["norm-free ReLU"] == (3, 3)
    assert ranks["norm-free GELU"] == (None, None)
    states = dict(table.select("architecture", "state").iter_rows())
    assert states["norm-free GELU"] == "diverged at step 429"
    assert states["norm-free learnable leaky ReLU"] == "not run at this scale"


def test_a_stuck_run_has_no_perplexity_in_table_2(gather, settings):
    table = PERPLEXITY.build(gather([replace(LAPTOP[0], outcome="stuck")]), settings)
    assert table["measured_perplexity"].null_count() == table.height


def test_printed_correlations_are_those_of_figures_1_and_3(gather, settings):
    table = CORRELATIONS.build(gather(), settings)
    printed = {(r["figure"], r["metric"], r["site"]): r["paper_pearson"] for r in table.iter_rows(named=True)}
    assert len(printed) == 12
    assert printed["1", "spectral entropy", "post"] == -0.868
    assert printed["3", "eigenvalue early enrichment", "post"] == 0.980


def test_window_and_whole_run_count_their_own_checkpoints(gather, settings):
    table = CORRELATIONS.build(gather(), settings)
    assert set(table["checkpoints"]) == {12}
    assert set(table["checkpoints_whole"]) == {16}
    assert (table["pearson_low"] <= table["pearson"]).all()
    assert (table["pearson"] <= table["pearson_high"]).all()


def test_correlations_of_an_absent_and_of_a_failed_run_are_empty(gather, settings):
    table = CORRELATIONS.build(gather([replace(LAPTOP[0], outcome="diverged")]), settings)
    assert table["pearson"].null_count() == table.height
    assert set(table["state"]) == {"diverged at step 429", "not run at this scale"}


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.id)
def test_every_shown_column_is_in_the_frame(gather, settings, table):
    frame = table.build(gather(), settings)
    for column in table.columns:
        ends = {f"{column.name}_low", f"{column.name}_high"} if column.interval else set()
        assert {column.name} | ends <= set(frame.columns)
