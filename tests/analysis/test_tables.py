import json
import math
from dataclasses import replace

import polars as pl
import pytest
from synthetic_runs import LAPTOP

from nervelab.analysis.tables.correlations import CORRELATIONS
from nervelab.analysis.tables.perplexity import PERPLEXITY
from nervelab.analysis.tables.registry import TABLES
from nervelab.analysis.tables.settings import SETTINGS
from optimiser_records import RECORDS

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


def _ranks(gather, settings, *losses, scale="laptop"):
    runs = [replace(run, eval_loss=loss) for run, loss in zip((LAPTOP[0], LAPTOP[1], LAPTOP[5]), losses, strict=True)]
    frame = PERPLEXITY.build(gather(runs, scale=scale), settings)
    return frame["measured_rank"].drop_nulls().to_list(), PERPLEXITY.remark(frame, scale)


def test_losses_within_the_noise_share_a_rank(gather, settings):
    ranks, remark = _ranks(gather, settings, 3.40, 3.38, 3.50)
    assert ranks == [1, 1, 3]
    assert "3 pairwise orders: 2 found here, 1 tied, 0 inverted." in remark
    assert "two seeds of one model differed by 0.003 to 0.03 nats" in remark


def test_an_inverted_order_is_named(gather, settings):
    ranks, remark = _ranks(gather, settings, 3.60, 3.38, 3.50)
    assert ranks == [3, 1, 2]
    assert "1 found here, 0 tied, 2 inverted: PreLN ReLU below PreLN GELU by 0.220 nats" in remark


def test_at_another_scale_the_noise_is_not_known(gather, settings):
    ranks, remark = _ranks(gather, settings, 3.40, 3.38, 3.50, scale="paper")
    assert ranks == [2, 1, 3]
    assert "is not known at this scale" in remark


def test_rows_that_no_study_has_are_told_from_rows_not_run(gather, settings):
    states = dict(PERPLEXITY.build(gather([LAPTOP[0]]), settings).select("architecture", "state").iter_rows())
    assert states["PreLN ReLU"] == "not run at this scale"
    assert states["norm-free, weight norm in the FFN"] == "not in this study"


def test_settings_stand_beside_the_papers(gather, settings):
    rows = {row["setting"]: (row["paper"], row["here"]) for row in SETTINGS.build(gather(), settings).to_dicts()}
    assert rows["model width d"] == ("768", "64")
    assert rows["FFN hidden width"] == ("D = 4d = 3072", "D = 4d = 256")
    assert rows["tokens seen"][1] == "512\u202f000"
    assert rows["schedule"][1] == "20\u202f% warm-up, cosine to 10\u202f%; clip 1"
    assert rows["data"] == ("CodeParrot", "python-packages, a stand-in for CodeParrot")


@pytest.mark.parametrize(
    ("name", "said", "rate"),
    [
        ("adamw", "AdamW, betas 0.9, 0.95, weight decay 0.1", "0.01 (AdamW)"),
        ("sgd", "SGD, momentum 0.9, weight decay 0.01", "0.1 (SGD)"),
        ("adafactor", "Adafactor (torch's, not Hugging Face's), weight decay 0.1", "0.05 (Adafactor (torch's"),
        (
            "muon",
            "Muon, momentum 0.95, without Nesterov's form, steps scaled by shape",
            "0.02 (Mu",
        ),
        (
            "dion",
            "Dion, momentum 0.95, rank 50\u202f% of full, weight decay 0.1; for all but hidden matrices AdamW",
            "0.02 (Dion) and 0.003 (AdamW)",
        ),
    ],
)
def test_settings_say_what_each_optimiser_has(gather, settings, name, said, rate):
    aggregates = gather(LAPTOP[:1])
    config = json.loads(aggregates.runs["config"][0]) | {"optimiser": RECORDS[name].model_dump(mode="json")}
    aggregates = replace(aggregates, runs=aggregates.runs.with_columns(config=pl.lit(json.dumps(config))))
    rows = {row["setting"]: row["here"] for row in SETTINGS.build(aggregates, settings).to_dicts()}
    assert rows["optimiser"].startswith(said)
    assert rows["peak learning rate"].startswith(rate)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.id)
def test_every_shown_column_is_in_the_frame(gather, settings, table):
    frame = table.build(gather(), settings)
    for column in table.columns:
        ends = {f"{column.name}_low", f"{column.name}_high"} if column.interval else set()
        assert {column.name} | ends <= set(frame.columns)
