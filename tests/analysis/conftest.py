import pytest
from synthetic_runs import LAPTOP, write_study

from nervelab.analysis.aggregate import aggregate
from nervelab.analysis.aggregates import Aggregates
from nervelab.study.decisions import Analysis


@pytest.fixture
def settings():
    return Analysis(window_start=0.15, confidence=0.95, bootstrap=400, seed=0)


@pytest.fixture
def gather(tmp_path):
    """Write run folders for some planted runs and read what `aggregate` makes of them."""

    def _gather(runs=LAPTOP, scale="laptop"):
        runs_json, runs_root = write_study(tmp_path, tuple(runs), scale=scale)
        aggregate(runs_json, runs_root, tmp_path / "aggregates")
        return Aggregates.read(tmp_path / "aggregates")

    return _gather
