import numpy as np
import polars as pl
import pytest

from nervelab.aggregates.find import Aggregates
from tests.support.synthetic_runs import LAPTOP, LAYERS, STEPS, Planted


def test_the_baseline_is_found_without_naming_it(gather):
    assert gather().find().row["name"] == LAPTOP[0].name


def test_a_lookup_changes_only_what_it_names(gather):
    assert gather().find(placement="none", activation="relu").row["name"] == LAPTOP[5].name


@pytest.mark.parametrize("settings", [{"placement": "postln"}, {"width_multiple": 8}, {"no_such_setting": 1}])
def test_a_run_that_is_not_trained_at_this_scale_is_none(gather, settings):
    assert gather().find(**settings) is None


def test_an_ambiguous_lookup_is_a_defect(gather):
    one = gather()
    twice = Aggregates(
        runs=pl.concat([one.runs, one.runs]), spectra=one.spectra, history=one.history, settings=one.settings
    )
    with pytest.raises(ValueError, match="several runs of one seed match"):
        twice.find()


def test_of_several_seeds_the_lowest_is_found(gather):
    aggregates = gather([Planted(seed=2), Planted(seed=1), Planted(activation="relu")])
    assert aggregates.find().row["seed"] == 1
    assert aggregates.find(seed=2).row["seed"] == 2


@pytest.mark.parametrize("axis", [("training.steps", 500), ("dataset", "other"), ("model.heads", 8)])
def test_a_run_off_its_base_does_not_stand_in_for_it(gather, axis):
    key, value = axis
    base, other = Planted(), Planted(off_base=(axis,))
    aggregates = gather([other, base])
    assert aggregates.find().row["name"] == base.name
    assert aggregates.find(**{key.removeprefix("model.").replace(".", "_"): value}).row["name"] == other.name


def test_only_runs_off_the_base_is_none(gather):
    assert gather([Planted(off_base=(("training.steps", 500),))]).find() is None


def test_what_the_baseline_names_may_be_off_the_base(gather):
    run = Planted(placement="postln", off_base=(("model.placement", "postln"),))
    assert gather([run]).find(placement="postln").row["name"] == run.name


def test_a_baseline_setting_that_no_run_records_is_a_defect(gather):
    one = gather()
    bare = Aggregates(runs=one.runs.drop("optimiser"), spectra=one.spectra, history=one.history, settings=one.settings)
    with pytest.raises(ValueError, match="lacks the setting optimiser"):
        bare.find()


def test_a_grid_is_steps_by_layers(gather):
    aggregates = gather()
    run = aggregates.find()
    grid = run.grid("se_post")
    assert grid.steps_S.tolist() == list(STEPS)
    assert grid.values_SL.shape == (len(STEPS), LAYERS)
    cell = aggregates.spectra.filter(name=run.row["name"], step=STEPS[3], layer=2)
    assert grid.values_SL[3, 2] == cell["se_post"].item()


def test_other_groups_and_estimators_stay_out_of_a_grid(gather):
    one = gather()
    other = one.spectra.with_columns(group=pl.lit("early"), se_post=pl.lit(99.0))
    both = Aggregates(
        runs=one.runs, spectra=pl.concat([other, one.spectra]), history=one.history, settings=one.settings
    )
    np.testing.assert_array_equal(both.find().grid("se_post").values_SL, one.find().grid("se_post").values_SL)


def test_eval_loss_at_a_step_without_one_is_nan(gather):
    loss = gather().find().eval_loss_at(np.array([1000, 7]))
    assert loss[0] == pytest.approx(3.38)
    assert np.isnan(loss[1])


def test_a_failed_run_says_when(gather):
    run = gather([Planted(outcome="stuck")]).find()
    assert run.failed
    assert run.state == "stuck at step 429"
