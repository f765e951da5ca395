import math
from dataclasses import replace
from itertools import combinations

import numpy as np
import polars as pl
import polars.selectors as cs
import pytest
from scipy import stats

from nervelab.analysis.compare import seed_noise
from nervelab.analysis.quantities import EVAL_LOSS
from nervelab.analysis.tables.registry import TABLES
from nervelab.analysis.tables.table_02 import PERPLEXITY
from nervelab.analysis.tables.table_03 import TABLE_3_CHECKPOINTS, TABLE_3_WIDTHS
from nervelab.analysis.tables.table_07 import TABLE_7
from nervelab.words.metrics import SPECTRAL
from nervelab.words.numbers import as_printed as printed_number
from tests.support.made_up_runs import MadeUp, gathered, whole_study
from tests.support.synthetic_runs import LAPTOP, over_seeds

# As printed in the paper's Table 2, and in appendix C.1.
_PRINTED = {
    "released PreLN block, GELU": None,
    "PreLN GELU": 2.714,
    "PreLN ReLU": 2.774,
    "norm-free GELU": 3.223,
    "norm-free ReLU": 2.988,
    "norm-free learnable leaky ReLU": 3.081,
    "MixLN GELU": 2.808,
    "PostLN GELU": 2.830,
    "norm-free, weight norm in the FFN": 3.041,
    "norm-free, spectral norm in the FFN": 3.000,
    "norm-free, hyperspherical norm in the FFN": 3.122,
    "PreLN GELU, short": None,
    "norm-free learnable leaky ReLU, short": None,
}
_LOSSES = {"PreLN GELU": 3.38, "PreLN ReLU": 3.29, "norm-free GELU": 3.61, "norm-free ReLU": 3.52}
# As printed in Table 3: over checkpoints at D = 1d to 8d, and over widths by architecture.
_OVER_CHECKPOINTS = {
    "SE pre": [-0.98, -0.98, -0.99, -0.99, -0.99, -0.99, -0.99, -0.99],
    "SE post": [-0.84, -0.84, -0.86, -0.87, -0.87, -0.87, -0.87, -0.87],
    "PR pre": [-0.97, -0.98, -0.98, -0.99, -0.98, -0.97, -0.98, -0.97],
    "PR post": [-0.85, -0.93, -0.94, -0.94, -0.95, -0.95, -0.93, -0.93],
}
_ARCHITECTURES = ["GELU", "ReLU", "GeGLU", "SwiGLU", "norm-free GELU", "norm-free ReLU", "norm-free LReLU"]
_OVER_WIDTHS = {
    "SE pre": [-0.99, -0.98, -0.95, -0.97, -0.82, 0.03, 0.03],
    "SE post": [-1.00, -1.00, -0.57, -0.85, -0.92, -0.99, -1.00],
    "PR pre": [-0.99, -0.98, -0.97, -0.97, -0.93, -0.55, -0.60],
    "PR post": [-1.00, -0.97, -0.94, -0.89, -0.99, -0.94, -0.99],
}
# As printed in Table 7: PR_post and its spread at D = 1d to 8d.
_PR_POST = {
    "PreLN": ([292, 573, 831, 1002, 1275, 1562, 1721, 1822], [62, 149, 238, 354, 333, 429, 244, 370]),
    "MixLN": ([137, 184, 247, 274, 278, 159, 251, 233], [111, 126, 233, 224, 234, 142, 201, 187]),
    "PostLN": ([95, 142, 151, 240, 117, 91, 94, 71], [65, 104, 147, 231, 110, 83, 84, 62]),
}


@pytest.fixture(scope="module")
def study():
    return gathered()


def test_table_2_sets_measured_beside_printed(gather):
    table = PERPLEXITY.build(gather())
    assert dict(table.select("architecture", "paper_perplexity").iter_rows()) == _PRINTED
    measured = dict(table.select("architecture", "measured_perplexity").iter_rows())
    for model, loss in _LOSSES.items():
        assert measured[model] == math.exp(loss)


def test_a_model_on_several_seeds_is_in_table_2_with_their_mean_and_spread(gather):
    table = PERPLEXITY.build(gather([*over_seeds(LAPTOP[0], by=0.02), LAPTOP[1]]))
    gelu, relu = table.to_dicts()[:2]
    assert gelu["measured_perplexity"] == pytest.approx(math.exp(3.38))
    assert (gelu["spread_over_seeds"], gelu["seeds"]) == (pytest.approx(0.02), 3)
    assert (relu["spread_over_seeds"], relu["seeds"]) == (None, 1)


def test_ranks_are_taken_among_rows_with_both_numbers(gather):
    aggregates = gather([LAPTOP[0], LAPTOP[1], replace(LAPTOP[4], outcome="diverged"), LAPTOP[5]])
    table = PERPLEXITY.build(aggregates)
    ranks = {row["architecture"]: (row["paper_rank"], row["measured_rank"]) for row in table.iter_rows(named=True)}
    assert ranks["PreLN GELU"] == (1, 2)
    assert ranks["PreLN ReLU"] == (2, 1)
    assert ranks["norm-free ReLU"] == (3, 3)
    assert ranks["norm-free GELU"] == (None, None)
    states = dict(table.select("architecture", "state").iter_rows())
    assert states["norm-free GELU"] == "diverged at step 429"
    assert states["norm-free learnable leaky ReLU"] == "not run at this scale"


def test_a_stuck_run_has_no_perplexity_in_table_2(gather):
    table = PERPLEXITY.build(gather([replace(LAPTOP[0], outcome="stuck")]))
    assert table["measured_perplexity"].null_count() == table.height


def test_one_failed_seed_takes_its_model_out_of_table_2(gather):
    runs = over_seeds(LAPTOP[0])
    row = PERPLEXITY.build(gather([*runs[:2], replace(runs[2], outcome="stuck")])).to_dicts()[0]
    assert (row["measured_perplexity"], row["state"]) == (None, "stuck at step 429")


def _ranks(gather, *losses, by=0.02):
    runs = [replace(run, eval_loss=loss) for run, loss in zip((LAPTOP[0], LAPTOP[1], LAPTOP[5]), losses, strict=True)]
    # What a seed adds goes round from model to model: the mean stays, and so does what any two differ by.
    seeded = [
        replace(run, seed=seed, eval_loss=run.eval_loss + by * ((seed + model) % 3 - 1))
        for model, run in enumerate(runs)
        for seed in range(3)
    ]
    frame = PERPLEXITY.build(gather(seeded if by else runs))
    return frame, frame["measured_rank"].drop_nulls().to_list(), PERPLEXITY.remark(frame)


def test_losses_within_seed_noise_share_a_rank(gather):
    frame, ranks, remark = _ranks(gather, 3.40, 3.38, 3.50)
    assert ranks == [1, 1, 3]
    assert remark == "The paper orders 3 pairs: 2 found here, 1 level within noise, 0 inverted."
    gelu = frame.to_dicts()[0]
    assert (gelu["worse_than"], gelu["level_with"], gelu["better_than"]) == ("", "PreLN ReLU", "norm-free ReLU")


def test_two_models_are_level_up_to_the_least_significant_difference():
    """Three models on three seeds, any two of which differ by one, one and minus two times 0.02: t(4) times 0.02."""
    least = stats.t.ppf(0.975, 4) * 0.02
    for difference, ranks in ((least - 1e-4, [1, 1, 3]), (least + 1e-4, [2, 1, 3])):
        assert _ranks(_in_memory, 3.38 + difference, 3.38, 3.60)[1] == ranks


def _in_memory(planted):
    losses = {(run.placement, run.activation, run.seed): run.eval_loss for run in planted}
    runs = [MadeUp(*key[:2], seed=key[2]) for key in losses]
    return gathered(runs, loss=lambda run: losses[run.placement, run.activation, run.seed])


def test_an_inverted_order_is_named(gather):
    _, ranks, remark = _ranks(gather, 3.60, 3.38, 3.50)
    assert ranks == [3, 1, 2]
    assert remark.endswith(
        "1 found here, 0 level within noise, 2 inverted (here PreLN ReLU better than PreLN GELU; "
        "norm-free ReLU better than PreLN GELU)."
    )


def test_without_a_second_seed_every_difference_counts(gather):
    _, ranks, remark = _ranks(gather, 3.40, 3.399, 3.50, by=0)
    assert ranks == [2, 1, 3]
    assert "2 found here, 0 level within noise, 1 inverted" in remark


def test_nothing_is_said_of_orders_where_nothing_was_trained(gather):
    assert PERPLEXITY.remark(PERPLEXITY.build(gather([LAPTOP[0]]))) == ""


def test_the_orders_of_table_2_are_those_of_its_intervals(study):
    frame = PERPLEXITY.build(study).filter(pl.col("eval_loss").is_not_null(), recipe="long")
    least = 2 * stats.t.ppf(0.975, 18) * seed_noise(study, EVAL_LOSS).spread.deviation / math.sqrt(6)
    rows = {row["architecture"]: row for row in frame.to_dicts()}
    assert len(rows) == 7
    for one, other in combinations(rows, 2):
        difference = rows[one]["eval_loss"] - rows[other]["eval_loss"]
        column = "level_with" if abs(difference) <= least else "worse_than" if difference > 0 else "better_than"
        assert other in rows[one][column].split("; ")


def test_what_was_not_run_is_said_to_be_so(gather):
    states = dict(PERPLEXITY.build(gather([LAPTOP[0]])).select("architecture", "state").iter_rows())
    assert states["PreLN ReLU"] == "not run at this scale"
    assert states["norm-free, weight norm in the FFN"] == "not run at this scale"


def as_printed(table, frame):
    """The rows of the page by metric and kind of number."""
    return {(row["metric"], row["line"]): row for row in table.arrange(frame).to_dicts()}


def test_printed_correlations_are_those_of_table_3(study):
    left = as_printed(TABLE_3_CHECKPOINTS, TABLE_3_CHECKPOINTS.build(study))
    right = as_printed(TABLE_3_WIDTHS, TABLE_3_WIDTHS.build(study))
    for metric, printed in _OVER_CHECKPOINTS.items():
        row = left[metric, "Pearson, paper"]
        assert [row[f"GELU {width}d"] for width in range(1, 9)] == printed
    for metric, printed in _OVER_WIDTHS.items():
        row = right[metric, "Pearson, paper"]
        assert [row[architecture] for architecture in _ARCHITECTURES] == printed


def test_printed_correlations_are_those_of_figures_1_and_3(study):
    left = as_printed(TABLE_3_CHECKPOINTS, TABLE_3_CHECKPOINTS.build(study))
    titles = {"SE pre": -0.992, "SE post": -0.924, "PR pre": -0.957, "PR post": -0.945, "EEE pre": 0.936}
    titles |= {"EEE post": 0.980}
    assert {metric: left[metric, "Pearson, paper"]["ReLU 4d"] for metric in titles} == titles
    assert [left[f"EEE {site}", "Pearson, paper"]["GELU 4d"] for site in ("pre", "post")] == [0.954, 0.955]
    assert left["EEE pre", "Pearson, paper"]["GELU 1d"] is None


def test_correlations_over_checkpoints_are_scipys(study):
    table = TABLE_3_CHECKPOINTS.build(study)
    assert table.height == 9 * 6
    short = {metric.name: id for id, metric in SPECTRAL.items()}
    names = {"GELU": "gelu", "ReLU": "relu"}
    for row in table.iter_rows(named=True):
        activation, width = row["label"].split()
        run = study.runs.filter(
            placement="preln", activation=names[activation], width_multiple=int(width[:-1]), seed=0
        )["name"].item()
        metric = f"{short[row['metric']]}_{row['site']}"
        rows = study.spectra.filter(name=run).group_by("step").agg(pl.col(metric).mean())
        rows = rows.join(study.history.filter(name=run), on="step")
        for suffix, part in (("", rows.filter(pl.col("step") >= 150)), ("_whole", rows)):
            assert row[f"checkpoints{suffix}"] == part.height
            assert row[f"pearson{suffix}"] == pytest.approx(stats.pearsonr(part[metric], part["eval_loss"]).statistic)
            assert row[f"spearman{suffix}"] == pytest.approx(stats.spearmanr(part[metric], part["eval_loss"]).statistic)


def test_window_and_whole_run_count_their_own_checkpoints(gather):
    table = TABLE_3_CHECKPOINTS.build(gather()).filter(pl.col("state") == "finished")
    assert table["label"].unique(maintain_order=True).to_list() == ["GELU 4d", "ReLU 4d"]
    assert set(table["checkpoints"]) == {12}
    assert set(table["checkpoints_whole"]) == {16}
    assert (table["pearson_low"] <= table["pearson"]).all()
    assert (table["pearson"] <= table["pearson_high"]).all()


def test_correlations_of_an_absent_and_of_a_failed_run_are_empty(gather):
    table = TABLE_3_CHECKPOINTS.build(gather([replace(LAPTOP[0], outcome="diverged")]))
    assert table["pearson"].null_count() == table.height
    assert set(table["state"]) == {"diverged at step 429", "not run at this scale"}
    remark = TABLE_3_CHECKPOINTS.remark(table)
    assert "GELU 1d: not run at this scale" in remark
    assert "GELU 4d: diverged at step 429" in remark
    assert remark.count(";") == 8


def test_correlations_over_widths_are_scipys(study):
    table = TABLE_3_WIDTHS.build(study)
    assert table.height == 7 * 6
    assert set(table["widths"]) == {8}
    last = study.spectra.filter(pl.col("step") == 1000).group_by("name", maintain_order=True).agg(cs.float().mean())
    runs = study.runs.filter(pl.col("seed") == 0).join(last, on="name", maintain_order="left")
    short = {metric.name: id for id, metric in SPECTRAL.items()}
    models = dict(
        zip(_ARCHITECTURES, runs.select("placement", "activation").unique(maintain_order=True).rows()[:7], strict=True)
    )
    for row in table.iter_rows(named=True):
        placement, activation = models[row["label"]]
        sweep = runs.filter(placement=placement, activation=activation)
        pairs = sweep[f"{short[row['metric']]}_{row['site']}"], sweep["eval_loss"]
        pearson = stats.pearsonr(*pairs)
        ends = pearson.confidence_interval(0.95)
        found = row["pearson"], row["pearson_low"], row["pearson_high"]
        assert found == pytest.approx((pearson.statistic, ends.low, ends.high))
        assert row["spearman"] == pytest.approx(stats.spearmanr(*pairs).statistic)


@pytest.mark.parametrize("outcome", ["stuck", None])
def test_a_width_that_failed_or_is_absent_takes_its_architecture_out_of_table_3(outcome):
    def lost(run):
        return (run.placement, run.activation, run.width_multiple) == ("preln", "relu", 6)

    runs = [replace(run, outcome=outcome) if lost(run) else run for run in whole_study() if outcome or not lost(run)]
    table = TABLE_3_WIDTHS.build(gathered(runs))
    states = dict(table.select("label", "state").iter_rows())
    assert states.pop("ReLU") == (f"{outcome} at step 350" if outcome else "not run at this scale")
    assert set(states.values()) == {"finished"}
    assert TABLE_3_WIDTHS.remark(table).startswith("ReLU: ")
    row = as_printed(TABLE_3_WIDTHS, table)["SE pre", "Pearson"]
    assert row["ReLU"] is None
    assert row["GELU"] is not None
    assert as_printed(TABLE_3_WIDTHS, table)["SE pre", "Pearson, paper"]["ReLU"] == -0.98


def test_table_3_has_a_line_for_each_metric_and_kind_of_number(study):
    left = TABLE_3_CHECKPOINTS.arrange(TABLE_3_CHECKPOINTS.build(study))
    kinds = ["Pearson, paper", "Pearson", "Pearson, whole run", "Spearman", "Spearman, whole run"]
    assert left.rows()[:5] == [("SE pre", kind, *left.row(k)[2:]) for k, kind in enumerate(kinds)]
    assert left.height == 6 * 5
    right = TABLE_3_WIDTHS.arrange(TABLE_3_WIDTHS.build(study))
    assert right["line"].to_list()[:3] == ["Pearson, paper", "Pearson", "Spearman"]
    assert right.height == 6 * 3


def test_table_7_sets_measured_beside_printed(study):
    frame = TABLE_7.build(study)
    last = study.spectra.filter(pl.col("step") == 1000)
    for placement, (means, spreads) in _PR_POST.items():
        rows = frame.filter(placement=placement)
        assert rows["paper_mean"].to_list() == means
        assert rows["paper_spread"].to_list() == spreads
        assert rows["paper_share"].to_list() == pytest.approx([m / (768 * k) for k, m in enumerate(means, 1)])
        for row in rows.iter_rows(named=True):
            run = study.runs.filter(
                placement=placement.lower(), activation="gelu", width_multiple=row["width_multiple"], seed=0
            )["name"].item()
            cells = last.filter(name=run)["pr_post"]
            expected = (cells.mean(), cells.std(ddof=0), cells.mean() / (64 * row["width_multiple"]))
            assert (row["mean"], row["spread"], row["share"]) == pytest.approx(expected)


def test_table_7_has_widths_side_by_side(study):
    rows = TABLE_7.arrange(TABLE_7.build(study)).to_dicts()
    assert [row["placement"] for row in rows] == ["PreLN"] * 4 + ["MixLN"] * 4 + ["PostLN"] * 4
    lines = ["PR_post, paper", "PR_post", "PR_post / D, paper", "PR_post / D"]
    assert [row["line"] for row in rows] == lines * 3
    assert [rows[0][f"{k}d"] for k in (1, 4, 8)] == ["292 ± 62", "1002 ± 354", "1822 ± 370"]
    assert [rows[2][f"{k}d"] for k in (1, 8)] == ["0.380", "0.297"]
    assert rows[8]["8d"] == "71 ± 62"
    first = TABLE_7.build(study).row(0, named=True)
    assert rows[1]["1d"] == f"{first['mean']:.1f} ± {first['spread']:.1f}"


@pytest.mark.parametrize(
    ("value", "digits", "signed", "text"),
    [
        (None, 2, False, None),
        (None, None, True, None),
        (292.0, None, False, "292"),
        (4.8, None, False, "4.8"),
        (-0.97, None, True, "−0.97"),
        (0.954, None, True, "+0.954"),
        (1 / 3, 3, False, "0.333"),
        (1 / 3, 2, True, "+0.33"),
        (-2.0, 1, False, "−2.0"),
    ],
)
def test_a_number_is_printed_with_its_own_digits_or_with_those_asked_for(value, digits, signed, text):
    assert printed_number(value, digits, signed=signed) == text


def test_a_failed_and_an_absent_width_are_empty_in_table_7():
    changed = [
        replace(run, outcome="diverged") if run.width_multiple == 8 else run
        for run in whole_study()
        if run.placement != "mixln" or run.width_multiple != 2
    ]
    frame = TABLE_7.build(gathered(changed))
    assert frame.filter(width_multiple=8)["mean"].null_count() == 3
    remark = TABLE_7.remark(frame).split("; ")
    assert remark == [
        "PreLN 8d: diverged at step 350",
        "MixLN 2d: not run at this scale",
        "MixLN 8d: diverged at step 350",
        "PostLN 8d: diverged at step 350",
    ]
    row = TABLE_7.arrange(frame).row(5, named=True)
    assert (row["placement"], row["line"], row["2d"], row["8d"]) == ("MixLN", "PR_post", None, None)
    assert row["1d"] is not None


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.id)
def test_every_shown_column_is_in_the_frame(study, table):
    frame = table.arrange(table.build(study))
    for column in table.columns:
        ends = {f"{column.name}_low", f"{column.name}_high"} if column.interval else set()
        assert {column.name} | ends <= set(frame.columns)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.id)
def test_a_table_is_arranged_alike_from_its_file(gather, tmp_path, table):
    """Also where most of it is empty: the page reads files."""
    frame = table.written(gather([replace(LAPTOP[0], outcome="diverged"), LAPTOP[1]]))
    frame.write_csv(tmp_path / "table.csv")
    read = pl.read_csv(tmp_path / "table.csv", infer_schema_length=None)
    assert table.remark(read) == table.remark(frame)
    if table.columns:
        shown = [column.name for column in table.columns]
        written, again = (table.arrange(each).select(shown).to_dicts() for each in (frame, read))
        assert len(written) == len(again)
        for row, other in zip(written, again, strict=True):
            assert {k: v for k, v in row.items() if v not in (None, "")} == pytest.approx(
                {k: v for k, v in other.items() if v not in (None, "")}
            )


def test_failed_and_absent_models_keep_their_printed_numbers(gather):
    aggregates = gather([replace(LAPTOP[0], outcome="diverged")])
    for table, printed in ((TABLE_3_CHECKPOINTS, "paper_pearson"), (TABLE_7, "paper_mean")):
        frame = table.build(aggregates)
        assert frame[printed].null_count() < frame.height
        assert np.isfinite(frame[printed].drop_nulls().to_numpy()).all()
