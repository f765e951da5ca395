"""The table of settings."""

import json
from dataclasses import replace

import polars as pl
import pytest

from nervelab.analysis.tables.settings import SETTINGS
from tests.support.made_up_runs import MadeUp, gathered
from tests.support.optimisers import RECORDS
from tests.support.synthetic_runs import LAPTOP


def test_settings_stand_beside_the_papers(gather):
    rows = {row["setting"]: (row["paper"], row["here"]) for row in SETTINGS.build(gather()).to_dicts()}
    assert rows["model width d"] == ("768", "64")
    assert rows["FFN hidden width"] == ("D = 4d = 3072", "D = 4d = 256")
    assert rows["tokens seen"][1] == "512\u202f000"
    assert rows["schedule"][1] == "20\u202f% warm-up, cosine to 10\u202f%; clip 1"
    assert rows["data"] == ("CodeParrot", "python-packages, a stand-in for CodeParrot")


@pytest.mark.parametrize(
    ("name", "said", "rate"),
    [
        ("adamw", "AdamW, betas 0.9, 0.95, weight decay 0.1", "AdamW 0.01"),
        ("sgd", "SGD, momentum 0.9, weight decay 0.01", "SGD 0.1"),
        (
            "adafactor",
            "Adafactor (torch's, not Hugging Face's), weight decay 0.1",
            "Adafactor (torch's, not Hugging Face's) 0.05",
        ),
        (
            "muon",
            "Muon, momentum 0.95, without Nesterov's form, steps scaled by shape",
            "Muon 0.02, the rest by AdamW 0.003",
        ),
        (
            "dion",
            "Dion, momentum 0.95, rank 50\u202f% of full, weight decay 0.1; for all but hidden matrices AdamW",
            "Dion 0.02, the rest by AdamW 0.003",
        ),
    ],
)
def test_settings_say_what_each_optimiser_has(gather, name, said, rate):
    aggregates = gather(LAPTOP[:1])
    config = json.loads(aggregates.runs["config"][0]) | {"optimiser": RECORDS[name].model_dump(mode="json")}
    aggregates = replace(aggregates, runs=aggregates.runs.with_columns(config=pl.lit(json.dumps(config))))
    rows = {row["setting"]: row["here"] for row in SETTINGS.build(aggregates).to_dicts()}
    assert rows["optimiser"].startswith(said)
    assert rows["peak learning rate"].startswith(rate)


@pytest.mark.parametrize(
    ("widths", "said"),
    [
        ((8, 1), "D = 1d = 64 or D = 8d = 512"),
        ((8, 1, 2), "D = 1d = 64 or D = 2d = 128 or D = 8d = 512"),
        ((8, 1, 2, 4), "D = 1d = 64 to D = 8d = 512"),
    ],
)
def test_of_many_settings_the_first_and_the_last_are_named(widths, said):
    frame = SETTINGS.build(gathered([MadeUp(width_multiple=width) for width in widths]))
    assert frame.filter(setting="FFN hidden width")["here"].item() == said
