"""The tables of the experiments beside the GPT-2 core, and how runs over other bases are found."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import polars.selectors as cs
import pytest

from nervelab.aggregates.find import Aggregates
from nervelab.analysis.compare import seed_noise
from nervelab.analysis.findings.registry import FINDINGS
from nervelab.analysis.quantities import EVAL_LOSS
from nervelab.analysis.tables.bases import BASES
from nervelab.analysis.tables.experiments import EXPERIMENTS, TABLE_12, TABLE_13
from nervelab.analysis.tables.learning_rates import RATES
from nervelab.analysis.tables.registry import TABLES as TABLES_OF_THE_PAGE
from nervelab.analysis.tables.token_positions import BY_POSITION
from nervelab.paper import printed as paper
from nervelab.words.labels import NOT_RUN
from nervelab.words.runs import run_named
from tests.support.made_up_runs import gathered

TABLES = {table.id: table for table in (TABLE_12, TABLE_13, *EXPERIMENTS)}
FINEWEB = {
    "base": "gpt2-160m-fineweb",
    "placement": "preln",
    "activation": "squared-relu",
    "optimiser": "adamw",
    "recipes": ["short"],
    "off_base": [],
}
MIXER = {
    "base": "mixer-cifar100",
    "placement": None,
    "activation": "gelu",
    "token_activation": "gelu",
    "optimiser": "adam",
    "perplexity": None,
    "recipes": ["short"],
    "off_base": [],
}


@pytest.fixture(scope="module")
def core() -> Aggregates:
    return gathered()


def with_copies(core: Aggregates, *changes: dict[str, Any]) -> Aggregates:
    """The core with copies of its baseline, changed: settings, results, and `config` (a section's fields, or several).

    `times` multiplies the copy's metrics.
    """
    baseline = core.find()
    runs, spectra, history = [core.runs], [core.spectra], [core.history]
    for number, change in enumerate(changes):
        name, times = f"copy-{number}", change.get("times", 1.0)
        config = json.loads(baseline.row["config"])
        for section, fields in change.get("config", {}).items():
            config[section] |= fields
        row = baseline.row | {"token_activation": None, "optimiser_lr": None}
        row |= {key: value for key, value in change.items() if key not in ("config", "times")}
        row |= {"name": name, "config": json.dumps(config | {"seed": row["seed"], "copy": row["off_base"]})}
        schema = core.runs.schema | {"token_activation": pl.String, "optimiser_lr": pl.Float64, "norm": pl.String}
        runs.append(pl.DataFrame([row], schema={key: schema[key] for key in row}))
        spectra.append(baseline.spectra.with_columns(pl.lit(name).alias("name"), cs.float() * times))
        history.append(baseline.history.with_columns(pl.lit(name).alias("name")))
    return Aggregates(
        pl.concat(runs, how="diagonal"),
        pl.concat(spectra, how="diagonal"),
        pl.concat(history, how="diagonal"),
        core.settings,
    )


def rows(table, aggregates: Aggregates) -> dict[str, dict[str, Any]]:
    return {row["model"]: row for row in table.build(aggregates).iter_rows(named=True)}


def test_means_and_spread_are_over_the_seeds_that_finished(core):
    losses = (3.0, 3.1, 3.4)
    seeds = [FINEWEB | {"seed": seed, "eval_loss": loss} for seed, loss in enumerate(losses)]
    stuck = FINEWEB | {"seed": 3, "eval_loss": 5.3, "outcome": "stuck"}
    row = rows(TABLES["table-13-optimisers"], with_copies(core, *seeds, stuck))["160M, AdamW"]
    assert row["measured"] == pytest.approx(math.exp(np.mean(losses)))
    assert row["spread_over_seeds"] == pytest.approx(np.std(losses, ddof=1))
    assert (row["seeds"], row["printed"]) == (3, 39.26)
    assert row["state"].startswith("stuck")


def test_metrics_are_those_after_training_averaged_over_layers(core):
    doubled = with_copies(core, FINEWEB | {"times": 2.0})
    row = rows(TABLES["table-13-optimisers"], doubled)["160M, AdamW"]
    baseline = core.find()
    last = baseline.spectra.filter(pl.col("step") == pl.col("step").max())
    for metric in ("se_pre", "pr_post", "eee_post", "js"):
        assert row[metric] == pytest.approx(2 * last[metric].mean())


def test_a_mixer_is_judged_by_its_accuracy_in_percent(core):
    ours = MIXER | {"eval_accuracy": 0.915, "off_base": []}
    row = rows(TABLES["table-12-mixer"], with_copies(core, ours))["GELU, GELU"]
    assert row["measured"] == pytest.approx(91.5)
    assert row["printed"] == 66.96
    assert row["spread_over_seeds"] is None


def test_what_this_scale_has_not_trained_is_said_to_be_absent(core):
    for table in TABLES.values():
        for row in table.build(core).iter_rows(named=True):
            if row["measured"] is None:
                assert row["state"] in (NOT_RUN, "on request: make ONLY=left-open")
    per_input = rows(TABLES["ffn-weights"], core)["weight norm per input, as released"]
    assert per_input["state"] == "on request: make ONLY=left-open"


@pytest.mark.parametrize(("muon", "column"), [((2.9, 3.0, 3.1), "worse_than"), ((2.9, 3.2, 3.1), "level_with")])
def test_models_are_compared_within_their_size_and_by_the_noise_of_every_base(core, muon, column):
    """Three seeds of AdamW and of Muon at one size, compared seed by seed, one of each at the other."""
    adamw = (3.0, 3.1, 3.2)
    long = {"base": "gpt2-160m-fineweb-long", "seed": 0}
    trained = [
        *(FINEWEB | {"seed": seed, "eval_loss": loss} for seed, loss in enumerate(adamw)),
        *(
            FINEWEB | {"optimiser": "muon", "off_base": ["optimiser"], "seed": seed, "eval_loss": loss}
            for seed, loss in enumerate(muon)
        ),
        FINEWEB | long | {"eval_loss": 3.0},
        FINEWEB | long | {"optimiser": "muon", "off_base": ["optimiser"], "eval_loss": 2.5},
    ]
    aggregates = with_copies(core, *trained)
    found = rows(TABLES["table-13-optimisers"], aggregates)
    assert found["160M, AdamW"][column] == "160M, Muon"
    assert found["160M, twice the context, AdamW"]["worse_than"] == "160M, twice the context, Muon"
    assert found["350M, AdamW"]["worse_than"] is None


def test_the_papers_numbers_are_those_it_prints(core):
    printed = {
        "table-13-optimisers": [39.26, 30.95, 33.60, 34.33, 27.09, 29.34, 33.24, 25.68, 27.68, None, None, None],
        "llama": [34.2, 33.9, 33.6, 26.4, 26.8, 26.7, 24.5, 24.2, 21.2, 1457.1],
        "position-encoding": [15.20, 16.78],
        "table-12-mixer": [66.96, 67.86, 66.99, 67.20, 66.38, 68.07],
        "ffn-weights": [3.081, 3.041, None, 3.000, 3.122],
    }
    for id, expected in printed.items():
        assert TABLES[id].build(core)["printed"].to_list() == expected


def test_runs_over_another_base_are_no_siblings_of_the_baseline(core):
    before = seed_noise(core, EVAL_LOSS)
    seeds = [FINEWEB | {"activation": "gelu", "seed": seed, "eval_loss": 3 + seed} for seed in range(3)]
    adafactor = [
        {"optimiser": "adafactor", "off_base": ["optimiser"], "seed": seed, "eval_loss": 3 + seed} for seed in range(3)
    ]
    after = with_copies(core, *seeds, *adafactor)
    assert seed_noise(after, EVAL_LOSS) == before
    assert after.find().row["name"] == core.find().row["name"]
    assert after.find(base="gpt2-160m-fineweb").row["name"] == "copy-0"
    assert after.find(optimiser="adafactor").row["name"] == "copy-3"
    assert after.find(base="gpt2-160m-fineweb", optimiser="muon") is None


def test_metrics_by_position_are_read_group_by_group(core):
    asked = {"off_base": ["measure_by_position"], "config": {"measure": {"by_position": True}}}
    one = with_copies(core, asked)
    own = one.spectra.filter(pl.col("name") == "copy-0")
    early = own.with_columns(pl.lit("early").alias("group"), pl.col("pr_post") * 2, n_tokens=pl.lit(1365))
    # Twice in its first layer, three times in the others.
    times = pl.when(pl.col("layer") == 0).then(2.0).otherwise(3.0)
    late = own.with_columns(pl.lit("late").alias("group"), pl.col("pr_post") * times, n_tokens=pl.lit(1365))
    whole = own.with_columns(n_tokens=pl.lit(4096))
    spectra = pl.concat([one.spectra.filter(pl.col("name") != "copy-0"), whole, early, late], how="diagonal")
    table = BY_POSITION.build(replace(one, spectra=spectra))
    assert table["words"].to_list() == ["all", "first third", "last third"]
    assert table["n_tokens"].to_list() == [4096, 1365, 1365]
    assert table["pr_post"][1] == pytest.approx(2 * table["pr_post"][0])
    assert table["model"].to_list() == ["PreLN GELU"] * 3
    layers = own["layer"].n_unique()
    mean = (1.0 + 1.5 * (layers - 1)) / layers
    assert table["ratio"].to_list()[:2] == [None, None]
    assert (table["ratio"][2], table["ratio_low"][2], table["ratio_high"][2]) == pytest.approx((mean, 1.0, 1.5))
    assert BY_POSITION.remark(table).endswith(f": {mean:.2f} (1.00 to 1.50) in “PreLN GELU”.")


def test_the_lowest_rate_of_each_optimiser_is_named(core):
    swept = [
        FINEWEB
        | {
            "studies": ["tune"],
            "optimiser_lr": rate,
            "off_base": ["optimiser_lr"],
            "eval_loss": loss,
            "config": {"optimiser": {"lr": rate}},
        }
        for rate, loss in ((1e-3, 3.2), (3e-3, 3.1), (6e-3, 3.3))
    ]
    table = RATES.build(with_copies(core, *swept))
    assert table["rate"].to_list() == [1e-3, 3e-3, 6e-3]
    assert table["best"].to_list() == ["", "lowest", ""]
    assert set(table["model"]) == {"sibling of GPT-2 160M, PreLN squared ReLU"}
    ends = RATES.build(with_copies(core, *swept[:2]))
    assert ends["best"].to_list() == ["", "lowest, at an end"]
    other_start = swept[1] | {"config": swept[1]["config"] | {"model": {"embedding_std": 0.5}}}
    assert RATES.build(with_copies(core, swept[0], other_start)).is_empty()
    assert RATES.build(core).is_empty()


def test_a_page_may_be_of_runs_that_lack_what_gpt2_has(core):
    """Without a width as a multiple of d, without a placement: every table and finding still says what is not there."""
    llama = FINEWEB | {"base": "llama-71m", "width_multiple": None}
    for copy in (llama, MIXER | {"eval_accuracy": 0.9}):
        both = with_copies(core, copy)
        alone = Aggregates(
            *(frame.filter(pl.col("name") == "copy-0") for frame in (both.runs, both.spectra, both.history)),
            both.settings,
        )
        for table in TABLES_OF_THE_PAGE:
            table.build(alone)
        assert {effect.state for finding in FINDINGS for effect in finding.effects(alone)} == {NOT_RUN}


def test_other_bases_are_listed_beside_the_papers_only_where_there_are_runs(core):
    assert BASES.build(core).is_empty()
    table = BASES.build(with_copies(core, FINEWEB))
    assert table["model"].to_list() == ["GPT-2 160M"]
    assert "d 64, D 256, 4 layers, 4 heads" in table["here"][0]
    assert {row["base"] for row in paper.rows("bases")} >= {"llama-71m", "mixer-cifar100"}


def test_runs_are_named_by_what_they_are():
    itself, stand_in = (json.dumps({"dataset": {"stands_for": each}}) for each in (None, "FineWeb"))
    row = FINEWEB | {"width_multiple": 4, "config": itself}
    assert run_named(row) == "GPT-2 160M, PreLN squared ReLU"
    assert run_named(row | {"config": stand_in}) == "sibling of GPT-2 160M, PreLN squared ReLU"
    assert run_named(row | {"optimiser": "muon", "off_base": ["optimiser"]}).endswith("; Muon")
    assert run_named(MIXER | {"width_multiple": 4, "config": itself}) == "MLP-Mixer, GELU, GELU"
    wide = {"base": "gpt2-codeparrot", "placement": "none", "activation": "relu", "width_multiple": 8}
    wide |= {"off_base": ["placement", "width_multiple"], "recipes": ["long", "short"]}
    assert run_named(wide) == "norm-free ReLU, D = 8d"
    assert run_named(wide | {"recipes": ["short"]}) == "norm-free ReLU, D = 8d; short recipe"
    assert run_named(wide | {"recipes": []}) == "norm-free ReLU, D = 8d"
