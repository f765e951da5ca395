"""The benchmarks compare what is equal, and say so in one table; how fast anything is, no test asserts."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from torch import nn

from benchmarks import sizes, start, step
from benchmarks.__main__ import COLUMNS, save, table
from benchmarks.reference import Keeping, reference_spectrum
from nervelab import runfiles
from nervelab.models.ffn import feed_forward
from nervelab.probes.measure import measure
from nervelab.probes.sites import find_ffns

ROOT = Path(__file__).resolve().parents[2]


def test_the_reference_is_the_published_algorithm() -> None:
    x = torch.randn(300, 20, dtype=torch.float64)
    expected = np.linalg.eigvalsh(np.cov(x.numpy(), rowvar=False))
    np.testing.assert_allclose(reference_spectrum(x), expected, rtol=1e-10)


def test_reference_and_engine_measure_the_same_ffns() -> None:
    model = nn.Sequential(*(feed_forward(8, 24, "gelu", bias=True) for _ in range(2)))
    batches = torch.randn(3, 40, 8)
    keeping = Keeping(find_ffns(model))
    with torch.no_grad():
        for batch in batches:
            model(batch)
    kept = keeping.spectra()
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    for layer, both in zip(measure(model, batches), kept, strict=True):
        for ours, theirs in zip((layer.pre, layer.post), both, strict=True):
            np.testing.assert_allclose(ours.eigenvalues, theirs.flip(0), rtol=0, atol=1e-5 * ours.eigenvalues[0])


@pytest.mark.parametrize(("width", "tokens"), [(64, 200), (600, 400)])
def test_sizes(width: int, tokens: int) -> None:
    found = list(sizes.rows([(width, tokens)], rounds=2))
    assert [row["path"] for row in found] == ["reference", "exact, torch alone", "exact", "post by bkq-16x24"]
    assert found[0]["times_reference"] == 1
    assert all(row["seconds"] > 0 and row["error"] < 1e-4 and row["js_error"] < 1e-3 for row in found)


def test_paths_take_turns() -> None:
    order: list[str] = []
    seconds, given = sizes.interleaved({name: lambda name=name: order.append(name) or name for name in "ab"}, rounds=3)
    assert order == list("ababab")
    assert given == {"a": "a", "b": "b"}
    assert {name: len(taken) for name, taken in seconds.items()} == {"a": 3, "b": 3}


@pytest.mark.parametrize("path", ["reference", "exact"])
def test_a_logging_step_keeps_what_it_says(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Peak memory above the same forward, in a process of its own: of the order of what the path has to hold."""
    monkeypatch.setattr(step, "SEQUENCES", 2)
    found = step.run(path, layers=1)
    assert found["seconds"] > 0
    assert found["megabytes"] > 100


def test_the_start_of_the_trainer_is_that_of_a_whole_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    left: list[list[str]] = []
    train = start.train

    def watched(folder: Path) -> None:
        train(folder)
        left.append([each.name for each in (folder / "run").iterdir()])

    monkeypatch.setattr(start, "train", watched)
    imports, run = start.rows(rounds=1)
    assert imports["times_reference"] == 1
    assert run["times_reference"] == imports["seconds"] / run["seconds"]
    assert [set(each) >= {*runfiles.RUN_RESULTS, runfiles.RUN_JSON} for each in left] == [True, True]


def test_one_table_is_shown_and_saved(tmp_path: Path) -> None:
    rows = [{"benchmark": "x", "case": "y", "path": "z", "seconds": 1.5}]
    save(rows, tmp_path / "results" / "table.csv")
    assert pl.read_csv(tmp_path / "results" / "table.csv").row(0, named=True)["seconds"] == 1.5
    assert [column.header for column in table(rows).columns] == [column.replace("_", " ") for column in COLUMNS]


def test_one_command() -> None:
    answer = subprocess.run([sys.executable, "-m", "benchmarks", "--help"], cwd=ROOT, capture_output=True, text=True)
    assert answer.returncode == 0
    assert "--quick" in answer.stdout
