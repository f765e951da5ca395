import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from synthetic_runs import STEPS, Planted

from nervelab.analysis.bootstrap import MINIMUM, resample
from nervelab.analysis.correlations import correlate, pairs_with_eval_loss
from nervelab.study.decisions import Analysis

_SETTINGS = Analysis(window_start=0.15, confidence=0.95, bootstrap=100, seed=0)
_PAIRS = st.lists(st.tuples(st.integers(-50, 50), st.integers(-50, 50)), min_size=3, max_size=7)


@given(_PAIRS)
def test_both_correlations_are_scipys(pairs):
    pairs_S2 = np.array(pairs, dtype=float)
    measured = correlate(pairs_S2, _SETTINGS)
    if np.ptp(pairs_S2, axis=0).min() == 0:
        assert measured.pearson is None
        return
    x, y = pairs_S2.T
    assert measured.pearson == pytest.approx(stats.pearsonr(x, y).statistic, abs=1e-12)
    assert measured.spearman == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-12)


def test_an_interval_holds_the_estimate_of_a_noisy_relation(settings):
    random = np.random.default_rng(0)
    x = random.standard_normal(24)
    measured = correlate(np.column_stack([x, x + random.standard_normal(24)]), settings)
    for r, (low, high) in (
        (measured.pearson, measured.pearson_interval),
        (measured.spearman, measured.spearman_interval),
    ):
        assert -1 <= low < r < high <= 1


def test_ranks_that_agree_in_every_resample_have_no_interval(settings):
    x = np.arange(12.0)
    measured = correlate(np.column_stack([x, x**3]), settings)
    assert measured.spearman == pytest.approx(1)
    assert measured.spearman_interval is None
    assert measured.pearson_interval[0] < measured.pearson < measured.pearson_interval[1] <= 1


def test_an_interval_is_wider_than_the_resamples_quantiles(settings):
    x = np.arange(12.0)
    pairs_S2 = np.column_stack([x, x + 2 * np.random.default_rng(1).standard_normal(12)])
    resampled = [stats.pearsonr(*pairs.T).statistic for pairs in resample(pairs_S2, settings)]
    low, high = np.quantile(resampled, [0.025, 0.975])
    measured = correlate(pairs_S2, settings)
    assert measured.pearson_interval[0] < low < measured.pearson < high < measured.pearson_interval[1] < 1


def test_few_checkpoints_have_r_but_no_interval(settings):
    measured = correlate(np.random.default_rng(0).standard_normal((MINIMUM - 1, 2)), settings)
    assert measured.pearson is not None
    assert measured.pearson_interval is None


@pytest.mark.parametrize("metric", ["se_pre", "pr_post", "eee_post"])
def test_r_of_a_run_is_scipys_over_the_window(gather, settings, metric):
    run = gather().find()
    spectra = run.spectra.group_by("step").agg(pl.col(metric).mean()).join(run.history, on="step").sort("step")
    for whole, rows in ((True, spectra), (False, spectra.filter(spectra["step"] >= 150))):
        measured = correlate(pairs_with_eval_loss(run, metric, settings, whole=whole), settings)
        assert measured.checkpoints == rows.height
        assert measured.pearson == pytest.approx(stats.pearsonr(rows[metric], rows["eval_loss"]).statistic)
        assert measured.spearman == pytest.approx(stats.spearmanr(rows[metric], rows["eval_loss"]).statistic)


def test_the_window_is_a_share_of_the_planned_steps(gather, settings):
    run = gather().find()
    late = settings.model_copy(update={"window_start": 0.5})
    assert len(pairs_with_eval_loss(run, "se_pre", late, whole=False)) == sum(step >= 500 for step in STEPS)


def test_nothing_is_taken_of_a_failed_run(gather, settings):
    run = gather([Planted(outcome="stuck")]).find()
    pairs_S2 = pairs_with_eval_loss(run, "se_pre", settings, whole=True)
    assert len(pairs_S2) == 0
    assert correlate(pairs_S2, settings).pearson is None
