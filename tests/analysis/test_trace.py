"""From a number in results/ to its runs: held against what was planted, cell by cell."""

from __future__ import annotations

import json
import math
import re
import shutil
import statistics
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from nervelab.aggregates.collect import aggregate
from nervelab.analysis.analyse import analyse
from nervelab.analysis.origins import as_text
from nervelab.analysis.trace import Trace, trace
from nervelab.errors import NervelabError
from nervelab.files import read_json, sha256, write_json
from nervelab.study.decisions import Analysis
from tests.support.synthetic_runs import LAPTOP, Planted, over_seeds, write_study

GELU, RELU = over_seeds(LAPTOP[0], by=0.004), over_seeds(LAPTOP[1], by=0.01)
DATA = {"tokens": {"id": "d383a52010", "corpus": "4ec4085558"}, "corpus": {"id": "4ec4085558"}}
SETTINGS = Analysis(window_start=0.15, confidence=0.95, bootstrap=200, seed=0)


@pytest.fixture(scope="module")
def analysed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models on three seeds each, gathered and analysed: never changed."""
    root = tmp_path_factory.mktemp("analysed")
    runs_json, runs_root = write_study(root, (*GELU, *RELU))
    listing = read_json(runs_json, "")
    for run in listing["runs"]:
        path = runs_root / "laptop" / run["name"] / "run.json"
        recorded = read_json(path, "") | {"fingerprint": "f" * 64, "inputs": {"tokens": "d383a52010"}}
        write_json(path, recorded)
        run["run_json_sha256"] = sha256(path)
    write_json(runs_json, listing | {"data": {"python-packages": DATA}})
    write_json(root / "results" / "provenance.json", {"git": {"commit": "abc123", "changed": True}})
    aggregate(runs_json, runs_root, root / "aggregates")
    analyse(root / "aggregates", root / "results", SETTINGS)
    return root


@pytest.fixture
def here(analysed: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(analysed)
    return analysed


@pytest.fixture
def mine(analysed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy that may be changed."""
    shutil.copytree(analysed, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    return tmp_path / "copy"


def followed(address: str) -> Trace:
    return trace(address, lambda: SETTINGS)[0]


def said(address: str) -> str:
    return as_text(*trace(address, lambda: SETTINGS))


def names(runs: tuple[Planted, ...]) -> set[str]:
    return {run.name for run in runs}


def mean(runs: tuple[Planted, ...]) -> float:
    return statistics.fmean(run.eval_loss for run in runs)


def deviation() -> float:
    """Pooled over both models, two degrees of freedom each."""
    squares = sum((run.eval_loss - mean(runs)) ** 2 for runs in (GELU, RELU) for run in runs)
    return math.sqrt(squares / 4)


def spectra(run: Planted) -> pl.DataFrame:
    return pl.read_parquet(Path("runs/laptop") / run.name / "spectra.parquet")


# The place, what was planted there, and the runs that it was planted in.
CELLS = {
    "tables/quantities.csv:2:eval_loss": lambda: (GELU[1].eval_loss, GELU[1:2]),
    f"tables/quantities.csv:name={RELU[2].name}:eval_loss": lambda: (RELU[2].eval_loss, RELU[2:]),
    "tables/table-02-perplexity.csv:architecture=PreLN ReLU:measured_perplexity": lambda: (math.exp(mean(RELU)), RELU),
    "tables/seed-noise.csv:quantity=eval_loss:deviation": lambda: (deviation(), (*GELU, *RELU)),
    f"tables/measurements.csv:name={GELU[0].name},step=20,layer=3:se_post": lambda: (
        spectra(GELU[0]).filter(step=20, layer=3)["se_post"].item(),
        GELU[:1],
    ),
    "tables/table-07-width.csv:placement=PreLN,width_multiple=4:mean": lambda: (
        spectra(GELU[0]).filter(step=1000)["pr_post"].mean(),
        GELU[:1],
    ),
    "tables/adafactor.csv:model=PreLN GELU, AdamW:eval_loss": lambda: (mean(GELU), GELU),
    "findings.csv:id=gelu-better:value": lambda: (mean(GELU) - mean(RELU), (*GELU, *RELU)),
    "metrics.json:effects.gelu-better": lambda: (mean(GELU) - mean(RELU), (*GELU, *RELU)),
    "metrics.json:loss.preln-relu": lambda: (mean(RELU), RELU),
}


@pytest.mark.parametrize("place", CELLS)
def test_a_number_is_recomputed_and_its_runs_are_named(here: Path, place: str):
    planted, runs = CELLS[place]()
    found = followed(f"results/{place}")
    assert found.equal
    assert float(found.recomputed) == pytest.approx(planted, rel=1e-12)
    assert set(found.runs) == names(runs)
    assert len(found.runs) == len(runs)
    assert found.verified == 6


def test_a_correlation_over_checkpoints_is_that_of_the_lowest_seed(here: Path):
    place = "results/tables/table-03-checkpoints.csv:label=GELU 4d,metric=participation ratio,site=pre:pearson_whole"
    found = followed(place)
    history = pl.read_parquet(Path("runs/laptop") / GELU[0].name / "history.parquet")
    layers = spectra(GELU[0]).group_by("step", maintain_order=True).agg(pl.col("pr_pre").mean())
    joined = layers.join(history, on="step")
    assert float(found.recomputed) == pytest.approx(statistics.correlation(joined["pr_pre"], joined["eval_loss"]))
    assert found.equal
    assert set(found.runs) == names(GELU[:1])


def test_what_is_told_of_the_runs(here: Path):
    text = said("results/findings.csv:id=gelu-better:low")
    for run in (*GELU, *RELU):
        assert f"  {run.name}  id {run.id}, finished\n" in text
    assert text.count(f"    code {'f' * 64}\n    at commit c0ffee\n") == 1  # said once of all six
    assert "    tokens d383a52010, which are not on this disk\n    corpus 4ec4085558, " in text
    assert "    torch 2.9.0, a processor\n" in text
    assert "analysed at commit abc123, with changes since\n" in text
    assert "trace tables/seed-noise.csv" in text
    assert re.search(r"^recomputed: -?[\d.]+ equals the file$", text.splitlines()[-1])
    assert "seed-noise" not in said("results/findings.csv:id=gelu-better:value")


def test_the_manifest_on_the_disk_is_hashed_and_compared(mine: Path):
    path = Path("data/tokens/d383a52010/manifest.json")
    write_json(path, DATA["tokens"])
    assert f"tokens d383a52010, manifest sha256 {sha256(path)}\n" in said("results/tables/quantities.csv:1:eval_loss")
    write_json(path, DATA["tokens"] | {"vocabulary": 7})
    with pytest.raises(NervelabError, match=r"data/tokens/d383a52010/manifest\.json is damaged"):
        said("results/tables/quantities.csv:1:eval_loss")


@pytest.mark.parametrize(
    ("file", "place", "old"),
    [
        ("tables/quantities.csv", "2:eval_loss", repr(GELU[1].eval_loss)),
        ("findings.csv", "id=gelu-better:value", None),
        ("metrics.json", "loss.preln-gelu", None),
    ],
)
def test_a_number_that_was_changed_by_hand_differs(mine: Path, file: str, place: str, old: str | None):
    held = followed(f"results/{file}:{place}").held
    assert old is None or held == old
    path = Path("results") / file
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(held, "9.5"), encoding="utf-8")
    found = followed(f"results/{file}:{place}")
    assert not found.equal
    last = said(f"results/{file}:{place}").splitlines()[-1]
    assert last.startswith(f"recomputed: {held} differs from the file, which holds 9.5; ")


def test_a_row_that_the_runs_do_not_give_is_told(mine: Path):
    path = Path("results/tables/quantities.csv")
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join([*lines, lines[-1]]) + "\n", encoding="utf-8")
    assert followed(f"{path}:7:eval_loss").recomputed is None
    assert "there is no such row any more" in said(f"{path}:7:eval_loss")


def test_a_changed_run_is_refused_by_name(mine: Path):
    folder = Path("runs/laptop") / RELU[0].name
    content = (folder / "spectra.parquet").read_bytes()
    (folder / "spectra.parquet").write_bytes(content[:-1] + b"?")
    with pytest.raises(NervelabError, match=rf"{folder}/spectra\.parquet is damaged"):
        followed("results/tables/quantities.csv:1:eval_loss")
    (folder / "spectra.parquet").write_bytes(content)
    write_json(folder / "run.json", json.loads((folder / "run.json").read_text(encoding="utf-8")) | {"parameters": 1})
    with pytest.raises(NervelabError, match=rf"{folder}/run\.json is not the one that results/runs\.json was made of"):
        followed("results/tables/quantities.csv:1:eval_loss")


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("results/index.html:1:x", "names no place in a file"),
        ("results/tables/quantities.csv", "names no place in a file"),
        ("results/tables/quantities.csv:eval_loss", "names no row or no column"),
        ("results/tables/quantities.csv:7:eval_loss", "has the rows 1 to 6: there is no row 7"),
        ("results/tables/quantities.csv:0:eval_loss", "has the rows 1 to 6: there is no row 0"),
        ("results/tables/quantities.csv:1:loss", "has no column 'loss'; it has scale, name"),
        ("results/tables/quantities.csv:activation=gelu:eval_loss", "3 rows have activation=gelu: name more keys"),
        ("results/tables/quantities.csv:activation=none:eval_loss", "no row has activation=none"),
        ("results/tables/quantities.csv:color=red:eval_loss", "color=red names no row: name its columns"),
        ("results/tables/table-02-perplexity.csv:1:paper_perplexity", "paper_perplexity is the paper's"),
        ("results/tables/table-02-perplexity.csv:1:better_than", "better_than holds a row against the others"),
        ("results/tables/table-11-memory.csv:1:matrix", "no run is behind it"),
        ("results/tables/llama.csv:1:eval_loss", r"no run was looked up for row 1 \(not run at this scale\)"),
        ("results/findings.csv:id=gelu-better:claimed_low", "says what is claimed, not what was measured"),
        ("results/metrics.json:loss.nothing", "has no 'loss.nothing'; it has effects.early-ranking"),
        ("results/metrics.json:verdicts.supported", "counts findings: trace the verdict"),
        ("results/runs.json:runs", "nothing is traced from it"),
        ("results/timings/table-10-seconds.csv:1:moments_seconds", "is missing"),
        ("results/tables/absent.csv:1:x", "is missing"),
        ("../elsewhere.csv:1:x", "lies outside results"),
    ],
)
def test_what_cannot_be_traced_is_refused_by_name(here: Path, address: str, sentence: str):
    with pytest.raises(NervelabError, match=sentence) as caught:
        followed(address)
    assert str(caught.value).count(". ") <= 1


def test_other_settings_of_the_analysis_give_another_number(here: Path):
    other = SETTINGS.model_copy(update={"window_start": 0.5})
    found, _ = trace("results/tables/quantities.csv:1:se_effect", lambda: other)
    assert not found.equal


def test_a_model_of_which_a_seed_failed_is_traced_to_all_that_were_looked_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    runs = (replace(GELU[0], outcome="stuck"), *GELU[1:])
    runs_json, runs_root = write_study(tmp_path, runs)
    aggregate(runs_json, runs_root, tmp_path / "aggregates")
    analyse(tmp_path / "aggregates", tmp_path / "results", SETTINGS)
    monkeypatch.chdir(tmp_path)
    found = followed("results/tables/adafactor.csv:1:eval_loss")
    assert found.equal
    assert set(found.runs) == names(runs)
    noise = followed("results/tables/seed-noise.csv:quantity=eval_loss:deviation")
    assert set(noise.runs) == names(runs[1:])  # what a failed run has is not pooled
