"""What two versions of a study are compared by: few numbers under short names, each found again by other means."""

import json
import math
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import polars as pl
import pytest

from nervelab.analysis.analyse import analyse
from nervelab.analysis.baselines import NAMED
from nervelab.analysis.findings.finding import WORDS
from nervelab.analysis.findings.registry import FINDINGS
from nervelab.analysis.metrics import KEYS, LETTERS, metrics
from nervelab.words.labels import BASES
from tests.support.synthetic_runs import LAPTOP, SEEDED, Planted


def flat(folder: Path) -> dict[str, float | None]:
    """metrics.json, by the names that DVC prints."""
    groups = json.loads((folder / "metrics.json").read_text())
    return {f"{group}.{name}": value for group, numbers in groups.items() for name, value in numbers.items()}


@pytest.fixture
def write(gather, settings, tmp_path):
    def _write(*runs):
        gather(runs)
        analyse(tmp_path / "aggregates", tmp_path, settings)
        return flat(tmp_path)

    return _write


def weakest(rows: pl.DataFrame) -> float | None:
    """The value of the deciding effect, from the columns of findings.csv alone."""
    claimed = rows.filter(pl.col("claimed").is_not_null(), pl.col("rival").fill_null("") == "")
    unfinished = claimed.filter(pl.col("state") != "finished")
    if len(unfinished):
        return None

    def outside(row):  # how much of the interval lies outside the range; below 0 its distance to the nearer end
        low, high = row["low"], row["high"]
        bottom = -math.inf if row["claimed_low"] is None else row["claimed_low"]
        top = math.inf if row["claimed_high"] is None else row["claimed_high"]
        return max(bottom - low, high - top) / (high - low)

    wide = [row for row in claimed.iter_rows(named=True) if row["low"] != row["high"]]
    return max(wide, key=outside)["value"] if wide else claimed["value"][0]


def test_verdicts_deciding_effects_and_losses_are_those_of_the_tables(whole):
    known = flat(whole)
    findings = pl.read_csv(whole / "findings.csv", infer_schema_length=None)
    for finding in FINDINGS:
        assert known[f"effects.{finding.id}"] == weakest(findings.filter(id=finding.id)), finding.id
    for word in WORDS:
        by_id = findings.unique("id").filter(verdict=word)
        assert known[f"verdicts.{word.replace(' ', '-')}"] == len(by_id)
    trained = pl.read_parquet(whole / "aggregates" / "runs.parquet")
    trained = trained.filter(pl.col("off_base").list.len() == 0, width_multiple=4)
    for name, model in NAMED.items():
        settings = {key: value for key, value in model.items() if key != "recipe"}
        losses = trained.filter(**settings)["eval_loss"].to_list()
        assert known.get(f"loss.{name}") == (pytest.approx(fmean(losses)) if losses else None), name
    assert len(known) == len(WORDS) + len(FINDINGS) + 9  # all but the block of the released code


def test_a_failed_baseline_has_no_loss_and_an_absent_one_no_name(write):
    known = write(LAPTOP[0], replace(LAPTOP[1], outcome="diverged"), replace(LAPTOP[2], outcome="stuck"))
    losses = {name: value for name, value in known.items() if name.startswith("loss.")}
    assert losses == {"loss.preln-gelu": 3.38, "loss.preln-relu": None, "loss.preln-geglu": None}
    assert known["effects.gelu-better"] is None
    assert known["verdicts.supported"] + known["verdicts.inconclusive"] + known["verdicts.not-run"] == len(FINDINGS)


def test_a_baseline_is_its_mean_over_seeds_and_nothing_that_differs_from_it(write):
    longer = Planted(eval_loss=1.0, off_base=(("training.steps", 2000),))
    assert write(*SEEDED, longer)["loss.preln-gelu"] == pytest.approx(3.38)


def test_a_base_that_nothing_names_is_a_baseline_too(write):
    own = Planted(eval_loss=2.0, activation="swiglu", off_base=(("base", "own"),))
    known = write(LAPTOP[0], own)
    assert {name for name in known if name.startswith("loss.")} == {"loss.preln-gelu", "loss.own"}


def test_the_whole_study_keeps_within_what_a_terminal_shows():
    losses = {*NAMED, *BASES}
    assert 4 + len(FINDINGS) + len(losses) <= KEYS
    names = [*(f"effects.{finding.id}" for finding in FINDINGS), *(f"loss.{name}" for name in losses)]
    assert max(map(len, names)) <= LETTERS


def test_many_bases_with_long_names_keep_within_it_too(gather):
    rows = gather(LAPTOP[:1])
    many = [rows.runs.with_columns(base=pl.lit(f"a-base-with-a-long-name-number-{k:02}")) for k in range(80)]
    runs = pl.concat([rows.runs, *many]).with_row_index().with_columns(name=pl.format("run-{}", "index"))
    known = metrics({}, replace(rows, runs=runs.drop("index")))
    names = [f"{group}.{name}" for group, numbers in known.items() for name in numbers]
    assert len(set(names)) == KEYS
    assert max(map(len, names)) == LETTERS
