import pytest

from nervelab.aggregates.collect import aggregate
from nervelab.aggregates.find import Aggregates
from nervelab.analysis.analyse import analyse
from tests.support.made_up_runs import SETTINGS, gathered, saved, with_estimators
from tests.support.synthetic_runs import LAPTOP, write_study


@pytest.fixture(scope="session")
def settings():
    return SETTINGS


@pytest.fixture
def gather(tmp_path):
    """Write run folders for some planted runs and read what `aggregate` makes of them."""

    def _gather(runs=LAPTOP, scale="laptop"):
        runs_json, runs_root = write_study(tmp_path, tuple(runs), scale=scale)
        aggregate(runs_json, runs_root, tmp_path / "aggregates")
        return Aggregates.read(tmp_path / "aggregates", SETTINGS)

    return _gather


@pytest.fixture(scope="session")
def whole(settings, tmp_path_factory):
    """The folder of the results of the whole made-up study, in which every claim of the paper holds."""
    folder = tmp_path_factory.mktemp("whole")
    analyse(saved(gathered(with_estimators()), folder / "aggregates"), folder, settings)
    return folder
