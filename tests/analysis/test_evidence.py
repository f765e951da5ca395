"""The data tables suffice to make every comparison again: what a reader does with the files alone."""

import math
from dataclasses import replace
from itertools import combinations

import numpy as np
import polars as pl
import pytest
from scipy import stats

from nervelab.analysis.analyse import analyse
from nervelab.analysis.quantities import QUANTITIES, all_quantities
from nervelab.analysis.tables.evidence import MEASUREMENTS, NOISE, QUANTITIES_BY_RUN
from nervelab.study.decisions import Analysis
from tests.support.made_up_runs import ESTIMATORS, MadeUp, gathered, saved, whole_study, with_estimators


@pytest.fixture(scope="module")
def study():
    return gathered()


@pytest.fixture(scope="module")
def files(study, tmp_path_factory):
    """The files of the analysis of the whole study, and nothing else."""
    root = tmp_path_factory.mktemp("evidence")
    settings = Analysis(window_start=0.15, confidence=0.95, bootstrap=100, seed=0)
    analyse(saved(study, root / "aggregates"), root / "results", settings)
    return root / "results"


def by_sides(runs: pl.DataFrame) -> list[pl.DataFrame]:
    """The runs of an effect by model, in the order in which it names them."""
    return runs.partition_by("placement", "activation", maintain_order=True)


# Of which what differs from width to width is the noise.
OVER_WIDTHS = ("PreLN / MixLN", "MixLN / PostLN", "MixLN / PreLN")


def test_every_effect_between_or_of_models_is_made_again_from_two_files(files):
    quantities = pl.read_csv(files / "tables" / "quantities.csv")
    noise = {row["name"]: row for row in pl.read_csv(files / "tables" / "seed-noise.csv").iter_rows(named=True)}
    findings = pl.read_csv(files / "findings.csv", infer_schema_length=None)
    made_again = {1: 0, 2: 0}
    by_seeds = pl.col("quantity").is_in(list(noise)) & ~pl.col("of").is_in(OVER_WIDTHS)
    for effect in findings.filter(by_seeds).iter_rows(named=True):
        row = noise[effect["quantity"]]
        named = pl.DataFrame({"name": effect["runs"].split(";")})
        sides = by_sides(named.join(quantities, on="name", how="left", maintain_order="left"))
        values = [side[row["quantity"]].to_numpy() for side in sides]
        by_ratio = row["compared_by"] == "ratio"
        means = [np.log(each).mean() if by_ratio else each.mean() for each in values]
        centre = means[0] - means[1] if len(means) == 2 else means[0]
        logs = [np.log(each) if by_ratio else each for each in values]
        of = "" if len(values) == 1 else "_of_pairs"
        own = logs[0] if len(values) == 1 else logs[0] - logs[1]  # three seeds, the same of both
        strength = math.inf if row[f"strength{of}"] is None else row[f"strength{of}"]
        deviation, freedom = row[f"deviation{of}"], row[f"degrees_of_freedom{of}"]
        counted = 2 if len(own) == 3 else 0  # over the eight widths every pair is another one, on a single seed
        if strength < math.inf:
            squares = ((own - own.mean()) ** 2).sum() if counted else 0.0
            deviation = math.sqrt((strength * deviation**2 + squares) / (strength + counted))
            freedom = min(strength + counted, freedom)
        half = stats.t.ppf((1 + effect["confidence"]) / 2, freedom) * deviation / math.sqrt(len(own))
        expected = np.array([centre, centre - half, centre + half])
        found = effect["value"], effect["low"], effect["high"]
        assert found == pytest.approx(np.exp(expected) if by_ratio else expected), effect["of"]
        made_again[len(sides)] += 1
    # Reinjection, JS, inertia and its levels, compensation, EEE, the rank bound; GELU, inertia, compensation, the gap,
    # placement, GELU's rivals.
    assert made_again == {1: 12 + 4 + 3 + 4 + 2 + 2 + 6, 2: 3 + 3 + 4 + 5 + 2 + 2}


def test_seed_by_seed_an_effect_is_what_the_runs_have(files):
    quantities = pl.read_csv(files / "tables" / "quantities.csv")
    effect = pl.read_csv(files / "findings.csv").filter(id="gelu-broader").to_dicts()[0]
    gelu, relu = (
        quantities.filter(placement="preln", activation=each, width_multiple=4)["final_pr_post"]
        for each in ("gelu", "relu")
    )
    assert [float(each) for each in effect["by_seed"].split(";")] == pytest.approx((gelu / relu).to_list())


def test_seed_noise_is_made_again_from_the_quantities(files):
    """Models on several seeds are those at D = 4d."""
    quantities = pl.read_csv(files / "tables" / "quantities.csv")
    models = quantities.filter(width_multiple=4).partition_by("placement", "activation")
    assert {model.height for model in models} == {3}
    for row in pl.read_csv(files / "tables" / "seed-noise.csv").iter_rows(named=True):
        values = [
            model[row["quantity"].removesuffix("_everywhere").removesuffix("_short")].to_numpy() for model in models
        ]
        size = 1.0 if row["compared_by"] == "ratio" else math.sqrt(np.mean(np.square(values)))
        if row["compared_by"] == "ratio":
            values = np.log(values)
        pairs = [one - other for one, other in combinations(values, 2)]
        for of, groups in (("", values), ("_of_pairs", pairs)):
            assert 1 <= row[f"strength{of}"] <= 4
            mean = math.sqrt(np.mean(np.var(groups, axis=1, ddof=1)))
            assert row[f"deviation{of}"] <= 1.25 * mean
            assert row[f"relative{of}"] == pytest.approx(mean / size)
        assert (row["degrees_of_freedom"], row["models"]) == (18, 9)
        assert (row["degrees_of_freedom_of_pairs"], row["pairs"]) == (16, 36)
        t = stats.t.ppf(0.975, 2 * row["strength"])  # Satterthwaite's, of two alike
        assert row["between_two_runs"] == pytest.approx(t * row["deviation"] * math.sqrt(2))
        assert row["assumed_from"] is None


def test_quantities_have_a_row_for_each_run_and_a_column_for_each_quantity(study):
    frame = QUANTITIES_BY_RUN.build(study)
    assert frame["name"].to_list() == study.runs["name"].to_list()
    assert {quantity.id for quantity in all_quantities(study)} <= set(frame.columns)
    assert frame["eval_accuracy"].null_count() == frame.height  # which only a Mixer has
    assert frame.drop("eval_accuracy").null_count().sum_horizontal().item() == 0


def test_quantities_tell_a_run_off_its_base_from_the_others():
    frame = QUANTITIES_BY_RUN.build(gathered(with_estimators()))
    models = frame["model"].to_list()
    assert models[:90].count("PreLN GELU") == 3  # its seeds
    assert models[90] not in models[:90]


def test_measurements_have_the_rows_of_every_estimator():
    aggregates = gathered([MadeUp(), MadeUp(estimators=ESTIMATORS)])
    frame = MEASUREMENTS.build(aggregates)
    rows = frame.group_by("name", "estimator", maintain_order=True).len().rows()
    names = aggregates.runs["name"].to_list()
    assert rows == [(names[0], "full", 13 * 4), *((names[1], each, 13 * 4) for each in ESTIMATORS)]
    losses = frame.filter(name=names[1]).group_by("step").agg(pl.col("eval_loss").n_unique())
    assert set(losses["eval_loss"]) == {1}


def test_seed_noise_counts_a_training_once_however_often_it_was_estimated(study):
    assert NOISE.written(gathered(with_estimators())).equals(NOISE.written(study))


def test_a_failed_run_has_a_row_and_no_quantities():
    runs = [replace(run, outcome="diverged") if run.seed == 2 else run for run in whole_study()]
    frame = QUANTITIES_BY_RUN.build(gathered(runs))
    failed = frame.filter(outcome="diverged")
    assert failed.height == 9
    assert failed.select(quantity.id for quantity in QUANTITIES).null_count().sum_horizontal().item() == 9 * len(
        QUANTITIES
    )


def test_without_replicates_noise_is_empty_but_named(study):
    frame = NOISE.build(gathered(run for run in whole_study() if run.seed == 0))
    ids = [quantity.id for quantity in all_quantities(study)]
    assert frame["quantity"].to_list() == [*ids, *(f"{id}_short" for id in ids), "eval_loss_everywhere"]
    assert frame["deviation"].null_count() == frame.height


def test_measurements_have_every_row_with_the_loss_at_its_step(study):
    frame = MEASUREMENTS.written(study).drop("scale")
    assert frame.height == study.spectra.height == 90 * 13 * 4
    assert frame.drop("eval_loss").equals(study.spectra)
    joined = study.spectra.join(study.history, on=["name", "step"], maintain_order="left")
    assert frame["eval_loss"].equals(joined["eval_loss"])


def test_the_file_of_measurements_holds_all_digits(study, files):
    read = pl.read_csv(files / "tables" / "measurements.csv")
    assert read["pr_post"].to_list() == study.spectra["pr_post"].to_list()
