"""The noise that a scale without seeds assumes: whose it is, what it comes to, and that its file is fresh."""

import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy import stats

from nervelab.analysis import borrowed as module
from nervelab.analysis.borrowed import BORROWERS, EVERYWHERE, borrowed, text_of
from nervelab.analysis.compare import contrast, level, seed_noise, seed_noise_everywhere
from nervelab.analysis.findings.effects import between_models, of_model
from nervelab.analysis.findings.finding import above
from nervelab.analysis.quantities import EVAL_LOSS, PR_POST, QUANTITIES, all_quantities, layer_effect
from nervelab.analysis.tables.evidence import NOISE
from nervelab.paper.architectures import PRELN_GELU, PRELN_RELU
from tests.support.made_up_runs import gathered, whole_study

_FILE = Path(module.__file__).with_name("borrowed.yaml")
_SEED_NOISE = Path(__file__).parents[2] / "results" / "tables" / "seed-noise.csv"


@pytest.fixture(scope="module")
def single():
    """The whole study at paper scale, each model on one seed."""
    return gathered([run for run in whole_study() if run.seed == 0], scale="paper")


def test_the_file_is_made_of_the_table_in_results():
    noise = pl.read_csv(_SEED_NOISE, infer_schema_length=None)
    if "relative" not in noise.columns:
        pytest.skip("results/ were rendered before the table had relative spreads")
    assert _FILE.read_text(encoding="utf-8") == text_of(noise)


def test_a_file_is_read_as_it_was_written(tmp_path, monkeypatch):
    """Of layers the one with the largest spread stands for all."""
    noise = NOISE.written(gathered())
    monkeypatch.setattr(module, "files", lambda _: tmp_path)
    (tmp_path / "borrowed.yaml").write_text(text_of(noise))
    module._content.cache_clear()
    try:
        loss, rows = borrowed("paper", "long", "eval_loss"), {row["quantity"]: row for row in noise.to_dicts()}
        row = rows["eval_loss"]
        assert loss.scale == "laptop"
        assert loss.models.deviation == pytest.approx(row["relative"], rel=1e-3)
        assert loss.pairs.deviation == pytest.approx(row["relative_of_pairs"], rel=1e-3)
        freedom = row["degrees_of_freedom"]
        assert (loss.models.degrees_of_freedom, loss.models.groups) == (pytest.approx(freedom, abs=0.05), 9)
        layers = [rows[f"pr_effect_layer_{layer}"]["relative"] for layer in (1, 2, 3, 4)]
        assert borrowed("paper", "long", "pr_effect_layer_7").models.deviation == pytest.approx(max(layers), rel=1e-3)
    finally:
        module._content.cache_clear()


def test_there_is_noise_for_every_quantity_and_recipe(single):
    for quantity in all_quantities(single):
        for kind in ("long", "short"):
            assert borrowed("paper", kind, quantity.id).models.deviation > 0
    assert borrowed("paper", EVERYWHERE, EVAL_LOSS.id).pairs.deviation > 0


def test_only_a_scale_without_seeds_borrows():
    assert BORROWERS == ("paper",)
    assert borrowed("laptop", "long", "eval_loss") is None
    assert borrowed("paper", "long", "what is not measured") is None
    with_seeds = gathered(scale="paper")
    assert seed_noise(with_seeds, EVAL_LOSS).assumed_from == ""
    assert seed_noise(gathered([run for run in whole_study() if run.seed == 0]), EVAL_LOSS) is None


def test_noise_is_as_large_in_proportion_to_the_quantity(single):
    found, relative = seed_noise(single, EVAL_LOSS), borrowed("paper", "long", "eval_loss")
    losses = [run.row["eval_loss"] for run in single.all_runs()]
    assert found.assumed_from == "laptop"
    deviation = relative.models.deviation * math.sqrt(np.mean(np.square(losses)))
    assert found.spread.deviation == pytest.approx(deviation)
    t = stats.t.ppf(0.975, relative.models.degrees_of_freedom)
    loss = level(single.find_seeds(), EVAL_LOSS, found)
    assert (loss.high - loss.low) / 2 == pytest.approx(t * deviation)


def test_a_ratio_takes_the_spread_of_logarithms(single):
    noise, relative = seed_noise(single, PR_POST), borrowed("paper", "long", "final_pr_post")
    found = contrast(single.find_seeds(), single.find_seeds(activation="relu"), PR_POST, noise)
    t = stats.t.ppf(0.975, relative.pairs.degrees_of_freedom)  # one seed each, the same
    assert math.log(found.high / found.value) == pytest.approx(t * relative.pairs.deviation)


def test_what_is_assumed_is_said(single):
    for effect in (
        of_model(single, PRELN_GELU, PR_POST, above(1)),
        between_models(single, PRELN_GELU, PRELN_RELU, PR_POST, above(1)),
        of_model(single, PRELN_GELU, layer_effect("se", 2), above(0)),
    ):
        assert effect.note == "noise assumed: that of the laptop scale"
        assert effect.holds in ("yes", "no")
    frame = NOISE.build(single)
    assert set(frame["assumed_from"]) == {"laptop"}
    assert "ASSUMED" in NOISE.remark(frame)
    assert "laptop" in NOISE.remark(frame)
    assert seed_noise_everywhere(single, EVAL_LOSS).assumed_from == "laptop"
    measured = gathered()
    assert of_model(measured, PRELN_GELU, PR_POST, above(1)).note == ""
    assert NOISE.remark(NOISE.build(measured)) == ""
    assert len(QUANTITIES) > 10
