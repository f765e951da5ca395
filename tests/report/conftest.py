from dataclasses import replace

import pytest

from nervelab.aggregates.collect import aggregate
from nervelab.aggregates.find import Aggregates
from nervelab.analysis.analyse import analyse
from nervelab.report.report import render
from tests.support.made_up_runs import SETTINGS
from tests.support.synthetic_runs import LAPTOP, SEEDED, write_study


@pytest.fixture(scope="session")
def settings():
    return SETTINGS


@pytest.fixture
def gather(tmp_path):
    """Aggregates of planted runs."""

    def _gather(*runs):
        runs_json, runs_root = write_study(tmp_path, runs)
        aggregate(runs_json, runs_root, tmp_path / "aggregates")
        return Aggregates.read(tmp_path / "aggregates", SETTINGS)

    return _gather


@pytest.fixture(scope="session")
def build():
    """Take planted runs all the way to the page below `root`; the folder of results."""

    def _build(root, runs=SEEDED, scale="laptop", provenance=None):
        runs_json, runs_root = write_study(root, tuple(runs), scale=scale)
        aggregate(runs_json, runs_root, root / "aggregates")
        analyse(root / "aggregates", root / "results", SETTINGS)
        render(
            results_dir=root / "results",
            aggregates_dir=root / "aggregates",
            runs_json=runs_json,
            settings=SETTINGS,
            provenance=provenance,
        )
        return root / "results"

    return _build


@pytest.fixture(scope="session")
def laptop(build, tmp_path_factory):
    """The results of all seven models, each on three seeds."""
    return build(tmp_path_factory.mktemp("laptop"))


@pytest.fixture(scope="session")
def partial(build, tmp_path_factory):
    """The results of a scale where one baseline got stuck, the other is absent, and one more run diverged."""
    runs = (replace(LAPTOP[0], outcome="stuck"), LAPTOP[2], replace(LAPTOP[4], outcome="diverged"))
    return build(tmp_path_factory.mktemp("partial"), runs, "smoke")
