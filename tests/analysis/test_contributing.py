"""The finding that CONTRIBUTING.md adds as an example: it is decided as it stands there."""

import re
from pathlib import Path

import polars as pl
import pytest

from nervelab.aggregates.find import Aggregates
from nervelab.analysis.findings.registry import FINDINGS
from nervelab.words.labels import BASES
from tests.analysis.finding_cases import GELU, RELU
from tests.support.made_up_runs import SETTINGS, at_4d, behaving, gathered

BASE = BASES["gpt2-openwebtext"]
ROOT = Path(__file__).parents[2]


def example() -> dict:
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), re.DOTALL)
    module: dict = {}
    exec(block, module)
    return module


def positions(*formulas) -> Aggregates:
    """Made-up runs, of which those of later seeds stand for the other base: with GELU for RoPE, with ReLU for none."""
    known = gathered([*at_4d(GELU, RELU), *at_4d(GELU, RELU, seeds=(3, 4, 5))], *formulas)
    other, gelu = pl.col("seed") > 2, pl.col("activation") == "gelu"
    runs = known.runs.with_columns(
        positions=pl.when(other).then(pl.when(gelu).then(pl.lit("rope")).otherwise(pl.lit("none"))),
        base=pl.when(other).then(pl.lit("gpt2-openwebtext")).otherwise(pl.col("base")),
    )
    return Aggregates(runs, known.spectra, known.history, SETTINGS)


def test_the_example_is_a_finding_that_is_not_there_yet():
    (finding,) = example()["POSITIONS"]
    assert finding.id not in {each.id for each in FINDINGS}
    assert finding.decide(gathered(at_4d(GELU))).verdict == "not run"


@pytest.mark.parametrize(
    ("formulas", "verdict"), [((), "supported"), (behaving({GELU: RELU, RELU: GELU}), "contradicted")]
)
def test_the_example_is_decided(formulas, verdict):
    (finding,) = example()["POSITIONS"]
    decided = finding.decide(positions(*formulas))
    assert decided.verdict == verdict
    assert [effect.of for effect in decided.effects] == [f"{BASE}, RoPE − {BASE}, no positions"]
