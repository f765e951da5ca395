"""Estimators of a study: known names, always `full`, and no torch to read them."""

import subprocess
import sys

import pytest
from pydantic import ValidationError

from nervelab.study.config import Measure

SETTINGS = {"source": "probe", "tokens": 64, "early": [0], "points": 2, "chunk": 4}


def test_full_alone_by_default() -> None:
    assert Measure(**SETTINGS).estimators == ("full",)
    assert Measure(**SETTINGS, estimators=["full", "randsvd-1/12"]).estimators == ("full", "randsvd-1/12")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["full", "half"], "'half' names no estimator"),
        (["bkq-16x24"], "must contain full"),
        (["full", "full"], "each name once"),
        (["full", "auto"], "name the one it stands for"),
    ],
)
def test_what_is_refused(names: list[str], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Measure(**SETTINGS, estimators=names)


def test_the_graph_is_read_without_torch() -> None:
    code = "import sys, nervelab.study.config; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
