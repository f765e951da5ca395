"""Every verdict before and after the laptop study's models and settings became those of the sources."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import polars as pl
import yaml

from nervelab.aggregates.find import SHORT_RECIPE, Aggregates
from nervelab.analysis.findings.finding import Finding, Verdict
from nervelab.analysis.findings.registry import FINDINGS
from nervelab.analysis.tables.table import RUNS, RUNS_TYPE, Column, Table

_SCALE = "laptop"
_ENDS = ("value", "low", "high")
_SCHEMA = {
    **dict.fromkeys(("finding", "section", "before", "after", "turned_by", "effect_before"), pl.String),
    **{f"{end}_before": pl.Float64 for end in _ENDS},
    "effect": pl.String,
    **dict.fromkeys(_ENDS, pl.Float64),
    RUNS: RUNS_TYPE,
}
START, LENGTH = "start, windows, rates, betas, decay and schedule", "length"
COUNTING = "the way effects are counted"


def verdicts_before() -> dict[str, dict[str, Any]]:
    """By finding: `verdict`, and `of`, `quantity`, `value`, `low` and `high` of the effect that decided it."""
    return yaml.safe_load((files("nervelab.analysis") / "before.yaml").read_text(encoding="utf-8"))


def _row(finding: Finding, before: dict[str, Any] | None, aggregates: Aggregates) -> dict[str, Any]:
    now = finding.decide(aggregates)
    row = {"finding": finding.id, "section": finding.section, "after": now.verdict}
    row |= {"effect": f"{now.deciding.of}: {now.deciding.quantity}", RUNS: list(now.deciding.runs)}
    row |= {end: getattr(now.deciding, end) for end in _ENDS}
    if before is None:
        return row | {"before": "", "turned_by": ""}
    row |= {"before": before["verdict"], "effect_before": f"{before['of']}: {before['quantity']}"}
    row |= {f"{end}_before": before[end] for end in _ENDS}
    if now.verdict == before["verdict"]:
        return row | {"turned_by": ""}
    if _counted_as_before(now) == before["verdict"]:
        return row | {"turned_by": COUNTING}
    as_long_as_before = finding.decide(aggregates.by(SHORT_RECIPE["recipe"]))
    return row | {"turned_by": LENGTH if _counted_as_before(as_long_as_before) == before["verdict"] else START}


def _counted_as_before(now: Verdict) -> str:
    """The verdict when one effect that contradicts the claim contradicted the finding, whatever the others said."""
    whole = all(effect.state == "finished" for effect in now.effects if effect.claim is not None)
    return "contradicted" if whole and any(effect.holds == "no" for effect in now.effects) else now.verdict


def _build(aggregates: Aggregates) -> pl.DataFrame:
    if aggregates.scale != _SCALE:
        return pl.DataFrame(schema=_SCHEMA)
    before = verdicts_before()
    rows = [_row(finding, before.get(finding.id), aggregates) for finding in FINDINGS]
    return pl.DataFrame(rows, schema=_SCHEMA)


BEFORE = Table(
    id="verdicts-before-and-after",
    title="Every verdict before and after the models and settings became those of the sources",
    caption=(
        "Before: siblings with every weight from N(0, 0.02²), trained for 800 steps with 20 % of warm-up, most rates "
        "untuned. After: siblings by the rule of src/nervelab/study/siblings.py, betas, decay and schedule of the "
        "sources but for the share of warm-up, which stays, rates by sweep, and 3,200 steps where a finding is of the "
        "long recipe; and effects are counted "
        "otherwise: before, one that contradicted the claim contradicted the finding. Turned by: that counting, if "
        "today's effects counted so give the verdict of before; the length, if models that differ from today's in the "
        "length alone do; else what changed beside it, which no single run tells apart. Of either the effect that "
        "decides."
    ),
    columns=(
        Column("finding", "finding"),
        Column("before", "before"),
        Column("after", "after"),
        Column("turned_by", "turned by"),
        Column("value_before", "effect before", significant=True),
        Column("value", "effect now", significant=True),
        Column("effect", "of"),
    ),
    build=_build,
    absent="At laptop scale alone.",
)
