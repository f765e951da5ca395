"""Estimators by name."""

import subprocess
import sys
from fractions import Fraction

import pytest

from nervelab.errors import NervelabError
from nervelab.spectra.names import EXAMPLES, Estimator, parse


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("full", {"kind": "full"}),
        ("auto", {"kind": "auto"}),
        ("sampling-0.10", {"kind": "sampling", "ratio": 0.1}),
        ("sampling-0.25-richardson", {"kind": "sampling", "ratio": 0.25, "variant": "richardson"}),
        ("randsvd-256", {"kind": "randsvd", "rank": 256}),
        ("randsvd-1/12-squared", {"kind": "randsvd", "share": Fraction(1, 12), "variant": "squared"}),
        ("lanczos-1/6-tail", {"kind": "lanczos", "share": Fraction(1, 6), "variant": "tail"}),
        ("bkq-16x24", {"kind": "bkq", "block": 16, "steps": 24}),
    ],
)
def test_settings(name: str, settings: dict) -> None:
    assert parse(name) == Estimator(name, **settings)


def test_every_example_is_one() -> None:
    assert all(parse(name).name == name for name in EXAMPLES.split(", "))


@pytest.mark.parametrize(
    "name",
    ["", "ful", "full-2", "sampling", "sampling-0.0", "sampling-1.5", "sampling-10%", "randsvd-0", "randsvd-3/2",
     "randsvd-1/0", "lanczos-1/6-squared", "bkq-16", "bkq-0x4", " full", "full\n"],
)  # fmt: skip
def test_what_is_none_is_refused(name: str) -> None:
    with pytest.raises(NervelabError, match="names no estimator: write one like full, auto, "):
        parse(name)


def test_ranks() -> None:
    assert [parse("randsvd-1/12").rank_at(width) for width in (3072, 256, 4)] == [256, 21, 1]
    assert [parse("lanczos-512").rank_at(width) for width in (3072, 256)] == [512, 256]


def test_a_workflow_that_reads_names_loads_no_torch() -> None:
    code = "import sys, nervelab.spectra.names; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
