"""Which checkpoints of a run count."""

from dataclasses import replace

import polars as pl
import pytest
from scipy import stats

from nervelab.aggregates.window import pairs_with_eval_loss
from nervelab.statistics.blocks import Draws
from nervelab.statistics.within_run import correlate
from tests.support.synthetic_runs import STEPS, Planted

CONFIDENCE, DRAWS = 0.95, Draws(400, seed=0)


@pytest.mark.parametrize("metric", ["se_pre", "pr_post", "eee_post"])
def test_r_of_a_run_is_scipys_over_the_window(gather, metric):
    run = gather().find()
    spectra = run.spectra.group_by("step").agg(pl.col(metric).mean()).join(run.history, on="step").sort("step")
    for whole, rows in ((True, spectra), (False, spectra.filter(spectra["step"] >= 150))):
        measured = correlate(pairs_with_eval_loss(run, metric, whole=whole), CONFIDENCE, DRAWS)
        assert measured.checkpoints == rows.height
        assert measured.pearson == pytest.approx(stats.pearsonr(rows[metric], rows["eval_loss"]).statistic)
        assert measured.spearman == pytest.approx(stats.spearmanr(rows[metric], rows["eval_loss"]).statistic)


def test_the_window_is_a_share_of_the_planned_steps(gather):
    run = gather().find()
    late = replace(run, window_start=0.5)
    assert len(pairs_with_eval_loss(late, "se_pre", whole=False)) == sum(step >= 500 for step in STEPS)


def test_nothing_is_taken_of_a_failed_run(gather):
    run = gather([Planted(outcome="stuck")]).find()
    pairs_S2 = pairs_with_eval_loss(run, "se_pre", whole=True)
    assert len(pairs_S2) == 0
    assert correlate(pairs_S2, CONFIDENCE, DRAWS).pearson is None
