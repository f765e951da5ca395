"""What ranks configurations early in training, against scipy."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from nervelab.aggregates.window import final_pairs
from nervelab.analysis.early_ranking import LOSS, SHARES, configurations, early_ranking
from tests.support.made_up_runs import MadeUp, gathered, paper_spectrum, whole_study


@pytest.fixture(scope="module")
def aggregates():
    def spectrum(run, share_S1, layer_L):
        metrics = paper_spectrum(run, share_S1, layer_L)
        return metrics | {"pr_post": metrics["pr_post"] * np.exp(0.5 * run.draw("early", size=(len(share_S1), 1)))}

    return gathered(None, spectrum)


def test_a_configuration_is_a_model_at_a_width_once(aggregates):
    found = configurations(aggregates)
    keys = ("placement", "activation", "width_multiple")
    assert len(found) == len({tuple(run.row[key] for key in keys) for run in found}) == 7 * 8 + 2 * 8
    assert {run.row["seed"] for run in found} == {0}


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("metric", ["se_pre", "pr_post"])
def test_a_metrics_ranking_is_scipys_spearman(aggregates, share, metric):
    early, last = [], []
    for run in configurations(aggregates):
        rows = run.spectra.filter(run.spectra["step"] == round(1000 * share))
        assert rows.height == 4
        early.append(rows[metric].mean())
        last.append(run.row["eval_loss"])
    ranking = early_ranking(aggregates, share, metric)
    assert ranking.correlation.value == pytest.approx(stats.spearmanr(early, last).statistic)
    assert ranking.configurations == 72
    assert abs(ranking.correlation.value) < 1


def test_the_rival_is_the_loss_at_the_same_step():
    """Losses that cross after 10 % of the training: early they rank backwards."""
    aggregates = gathered(loss=lambda run: 3 + 0.01 * run.width_multiple + 1e-4 * float(run.draw("tie")))
    crossing = aggregates.history.join(aggregates.runs.select("name", "width_multiple"), on="name")
    crossing = crossing.with_columns(
        eval_loss=crossing["eval_loss"] - 0.5 * crossing["width_multiple"] * (crossing["step"] <= 100)
    )
    aggregates = replace(aggregates, history=crossing.drop("width_multiple"))
    r = {share: early_ranking(aggregates, share, LOSS).correlation.value for share in SHARES}
    assert r[0.05] < -0.9
    assert r[0.10] < -0.9
    assert r[0.25] == pytest.approx(1)


def test_a_share_that_was_not_measured_is_left_out():
    sparse = [replace(run, steps=(0, 55, 106, 240, 256, 1000)) for run in whole_study()]
    aggregates = gathered(sparse)
    counted = {share: early_ranking(aggregates, share, "pr_post").configurations for share in SHARES}
    assert counted == {0.05: 72, 0.10: 0, 0.25: 0}
    assert early_ranking(aggregates, 0.25, "pr_post").correlation.value is None


def test_the_nearest_measured_step_is_taken():
    dense = [MadeUp(width_multiple=width, steps=(0, 246, 252, 255, 1000)) for width in range(1, 9)]

    def spectrum(run, share_S1, layer_L):
        at_252 = np.isclose(share_S1, 0.252)
        pr_post = np.where(at_252, 9 - run.width_multiple, run.width_multiple) + 0 * layer_L
        return paper_spectrum(run, share_S1, layer_L) | {"pr_post": pr_post}

    aggregates = gathered(dense, spectrum, lambda run: float(run.width_multiple))
    assert early_ranking(aggregates, 0.25, "pr_post").correlation.value == pytest.approx(-1)


def test_final_pairs_are_taken_at_the_last_measured_step(aggregates):
    found = configurations(aggregates)[:8]
    metric, loss = final_pairs(found, "pr_post")
    assert loss == [run.row["eval_loss"] for run in found]
    last = [run.spectra.filter(run.spectra["step"] == 1000)["pr_post"].mean() for run in found]
    assert metric == pytest.approx(last)
