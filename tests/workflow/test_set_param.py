"""`dvc exp run -S` on the small study: what is set is what is made, or it is refused."""

from __future__ import annotations

import re

import pytest

from tests.support.project import Project

LR = "bases.tiny.laptop.optimisers.adamw.lr"


def rates(project: Project) -> set[float]:
    """The learning rates of the runs that the results are made of."""
    index = project.folder / "results" / "runs.json"
    names = re.findall(r'"name": "([^"]+)"', index.read_text())
    return {run["config"]["optimiser"]["lr"] for name, run in project.runs().items() if name in names}


@pytest.mark.slow
def test_a_rate_that_is_set_is_the_rate_that_is_trained(built: Project):
    trained = set(built.runs())
    built.run(f"dvc exp run -S {LR}=0.5")
    assert rates(built) == {0.5}
    assert len(set(built.runs()) - trained) == 4
    text = (built.folder / "params.yaml").read_text()
    assert "{name: adamw, lr: 0.5," in text
    assert text.startswith("# Four runs of twenty steps")
    assert "smoke: {from: laptop}" in text
    assert LR in built.run("dvc params diff")
    assert built.dvc_is_clean()
    assert built.snakemake_is_clean()


@pytest.mark.slow
def test_a_rate_that_dvc_writes_with_an_exponent_is_a_number(built: Project):
    built.run(f"dvc exp run -S {LR}=1.0e-5")
    assert "{name: adamw, lr: 1e-05," in (built.folder / "params.yaml").read_text()
    assert rates(built) == {1e-5}


@pytest.mark.slow
def test_a_key_that_is_not_in_the_file_is_added_with_a_plus(built: Project):
    key = "bases.tiny.laptop.training.decay_share"
    before = built.run_times()
    assert "+" in built.run(f"dvc exp run -S {key}=0.5", fails=True)
    assert built.run_times() == before
    built.run(f"dvc exp run -S +{key}=0.5")
    assert sum(run["config"]["training"]["decay_share"] == 0.5 for run in built.runs().values()) == 4


@pytest.mark.slow
def test_how_findings_are_decided_trains_nothing(built: Project):
    before = built.run_times()
    built.run("dvc exp run -S analysis.window_start=0.3")
    assert built.run_times() == before
    assert "window_start: 0.3" in (built.folder / "params.yaml").read_text()
    assert built.snakemake_is_clean()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        (f"{LR}=fast", r"bases\.tiny\.laptop\.optimisers\.adamw\.lr: .*'fast'; write a plain number"),
        (f"{LR}=-1", r"bases\.tiny\.laptop\.optimisers\.adamw\.lr: .*greater than 0"),
        ("+scales.laptop.changes.dataset=texts", r"scales\.laptop\.changes\.dataset: changes no base"),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(built: Project, said: str, sentence: str):
    before = built.run_times()
    assert re.search(sentence, built.run(f"dvc exp run -S {said}", fails=True))
    assert built.run_times() == before
