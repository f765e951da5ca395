"""Every model that a finding asks for is trained by params.yaml, at its recipe: as a run of its base, not off it."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from nervelab.aggregates.collect import column
from nervelab.aggregates.find import Aggregates
from nervelab.analysis.findings.finding import Finding
from nervelab.analysis.findings.registry import FINDINGS
from nervelab.files import canonical_json
from nervelab.paper.architectures import ARCHITECTURES
from nervelab.study.index import described
from nervelab.study.runs import load_project
from tests.support.made_up_runs import SETTINGS, gathered, with_estimators
from tests.support.project_files import PARAMS


@pytest.fixture(scope="module", params=["laptop", "paper"])
def planned(request: pytest.FixtureRequest) -> Aggregates:
    """The runs that params.yaml asks for, of which nothing is measured yet."""
    made_up = gathered(with_estimators())
    rows = []
    for run in load_project(PARAMS, request.param).runs:
        known = described(run)
        settings = {column(key): value for key, value in known["settings"].items()}
        config = canonical_json(run.config.model_dump(mode="json"))
        off_base = [column(key) for key in known["off_base"]]
        rows.append(
            {"scale": request.param, "name": run.name, "id": run.id, "config": config, "outcome": "finished"}
            | settings
            | {"off_base": off_base, "recipes": known["recipes"]}
        )
    runs = pl.DataFrame(rows, infer_schema_length=None)
    return Aggregates(runs, made_up.spectra.clear(), made_up.history.clear(), SETTINGS)


def looked_up(finding: Finding, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The settings of every run that a finding looks for, in a study that has them all."""
    asked: list[dict[str, Any]] = []
    find_seeds = Aggregates.find_seeds

    def recorded(self: Aggregates, **settings: Any) -> Any:
        asked.append({"recipe": self.recipe} | settings)
        return find_seeds(self, **settings)

    with monkeypatch.context() as patched:
        patched.setattr(Aggregates, "find_seeds", recorded)
        finding.effects(gathered(with_estimators()))
    return asked


@pytest.mark.parametrize("finding", FINDINGS, ids=lambda finding: finding.id)
def test_the_studies_train_what_a_finding_asks_for(
    finding: Finding, planned: Aggregates, monkeypatch: pytest.MonkeyPatch
):
    asked = looked_up(finding, monkeypatch)
    if finding.section == "G":  # it looks for the run that has several estimators
        assert any(len(run.config["measure"]["estimators"]) > 1 for run in planned.all_runs())
        return
    if finding.id == "pr-every-layer":  # it takes every run
        activations = {run.row["activation"] for run in planned.all_runs()}
        assert activations >= {model["activation"] for model in ARCHITECTURES}
        return
    assert asked
    for settings in asked:
        assert planned.find_seeds(**settings), f"params.yaml trains no {settings}"


def test_what_is_off_its_recipe_is_not_found(planned: Aggregates):
    at_another_rate = planned.runs.with_columns(off_base=pl.lit(["optimiser_lr"]))
    assert Aggregates(at_another_rate, planned.spectra, planned.history, SETTINGS).find_seeds() == ()
