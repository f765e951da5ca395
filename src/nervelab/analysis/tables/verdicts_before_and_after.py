"""Every verdict at three times: of small siblings, of siblings by the rule, and by today's rules beside rivals."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import polars as pl
import yaml

from nervelab.aggregates.find import Aggregates
from nervelab.analysis.findings.finding import Finding
from nervelab.analysis.findings.registry import FINDINGS
from nervelab.analysis.tables.table import RUNS, RUNS_TYPE, Column, Table

_SCALE = "laptop"
_ENDS = ("value", "low", "high")
_WORDS = ("finding", "section", "part_of", "small", "siblings", "models_turned_by", "now", "turned_by", "survival")
_SCHEMA = {
    **dict.fromkeys(_WORDS, pl.String),
    "effect_before": pl.String,
    **{f"{end}_before": pl.Float64 for end in _ENDS},
    "effect": pl.String,
    **dict.fromkeys(_ENDS, pl.Float64),
    RUNS: RUNS_TYPE,
}
RULE, INTERVAL = "the rule", "the interval"
REVIEWED = "since the rules were reviewed"
"""What the revision of a rule says that came with the review of all of them."""
PART_OF = {
    "js-fading": "js-bands",
    "normfree-inertia-levels": "normfree-inertia",
    "normfree-eee-level": "normfree-compensation",
    "width-exponents": "return-on-width",
    "width-layer-spread": "return-on-width",
}
"""The claims that were part of another before the rules were reviewed."""


def verdicts_before() -> dict[str, dict[str, dict[str, Any]]]:
    """By finding and time (`small`, `siblings`): the verdict, and the effect that decided it."""
    return yaml.safe_load((files("nervelab.analysis") / "before.yaml").read_text(encoding="utf-8"))


def _row(finding: Finding, aggregates: Aggregates) -> dict[str, Any]:
    now = finding.decide(aggregates)
    row = {
        "finding": finding.id,
        "section": finding.section,
        "part_of": PART_OF.get(finding.id, ""),
        "now": now.verdict,
        "survival": now.survival,
        "effect": f"{now.deciding.of}: {now.deciding.quantity}",
        RUNS: list(now.deciding.runs),
    }
    row |= {end: getattr(now.deciding, end) for end in _ENDS}
    before = verdicts_before().get(PART_OF.get(finding.id, finding.id))
    if before is None:
        return row | {"small": "", "siblings": "", "models_turned_by": "", "turned_by": "a new claim"}
    small, siblings = before["small"], before["siblings"]
    row |= {"small": small["verdict"], "siblings": siblings["verdict"], "models_turned_by": siblings["turned_by"]}
    row |= {"effect_before": f"{siblings['of']}: {siblings['quantity']}"}
    row |= {f"{end}_before": siblings[end] for end in _ENDS}
    if now.verdict == siblings["verdict"]:
        return row | {"turned_by": ""}
    reviewed = any(REVIEWED in revision.lower() for revision in finding.revisions)
    return row | {"turned_by": RULE if reviewed else INTERVAL}


def _build(aggregates: Aggregates) -> pl.DataFrame:
    if aggregates.scale != _SCALE:
        return pl.DataFrame(schema=_SCHEMA)
    return pl.DataFrame([_row(finding, aggregates) for finding in FINDINGS], schema=_SCHEMA)


BEFORE = Table(
    id="verdicts-before-and-after",
    title="Every verdict at three times",
    caption=(
        "Small siblings: every weight from N(0, 0.02²), 800 steps with 20 % of warm-up, most rates untuned, and one "
        "effect that contradicted the claim contradicted the finding. Siblings by the rule: of "
        "src/nervelab/study/siblings.py, betas, decay and schedule of the sources but for the share of warm-up, which "
        "stays, rates by sweep, 3,200 steps where a finding is of the long recipe, and effects counted as today; what "
        "turned a verdict was tried then on shorter runs of the same models and on effects counted as before. Now: the "
        "same models, by rules that were reviewed and intervals that were tried on made-up data. Turned by the rule: "
        "the finding's rule is another since (see Rules changed); by the interval: the rule is the same. A part of an "
        "earlier claim is held against the verdict of the whole. Effects are those that decided, before and now "
        "often of different quantities. Which rivals a supported claim survives is said last."
    ),
    columns=(
        Column("finding", "finding"),
        Column("part_of", "part of"),
        Column("small", "small siblings"),
        Column("siblings", "siblings by the rule"),
        Column("models_turned_by", "models: turned by"),
        Column("now", "now"),
        Column("turned_by", "rules: turned by"),
        Column("value_before", "effect before", significant=True),
        Column("effect_before", "of (before)"),
        Column("value", "effect now", significant=True),
        Column("effect", "of (now)"),
        Column("survival", "rivals"),
    ),
    build=_build,
    absent="At laptop scale alone.",
)
