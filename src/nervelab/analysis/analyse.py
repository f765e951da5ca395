"""From the aggregates to the tables and the verdicts of the report."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from nervelab.aggregates.find import Aggregates
from nervelab.analysis.findings.finding import Effect, Finding, Verdict
from nervelab.analysis.findings.registry import FINDINGS
from nervelab.analysis.metrics import metrics
from nervelab.analysis.outputs import drop_others
from nervelab.analysis.tables.registry import TABLES
from nervelab.files import write_bytes, write_json
from nervelab.study.decisions import Analysis

FINDINGS_SCHEMA = {
    **dict.fromkeys(("scale", "id", "section", "verdict", "reason", "survival", "claim"), pl.String),
    "confidence": pl.Float64,
    **dict.fromkeys(("of", "quantity", "claimed", "holds", "decides", "rival", "unit", "state"), pl.String),
    **dict.fromkeys(("value", "low", "high", "claimed_low", "claimed_high"), pl.Float64),
    **dict.fromkeys(("by_seed", "by_layer", "runs", "note"), pl.String),
}
"""Columns of results/findings.csv: one row an effect, the finding's own columns repeated; lists joined by ";"."""


def analyse(aggregates_dir: Path, out_dir: Path, settings: Analysis) -> list[Path]:
    """Write tables/<id>.csv for every registered table, findings.csv and metrics.json below `out_dir`.

    metrics.json holds what two versions of a study are compared by, see `metrics`.

    Returns:
        The files written.

    Raises:
        NervelabError: an aggregate is missing or damaged, or a file cannot be written.
    """
    aggregates = Aggregates.read(aggregates_dir, settings)
    verdicts = {finding: finding.decide(aggregates) for finding in FINDINGS}
    frames = {f"tables/{table.id}.csv": table.written(aggregates) for table in TABLES}
    frames["findings.csv"] = effects_of(verdicts, aggregates)
    for file, frame in frames.items():
        write_bytes(out_dir / file, frame.write_csv().encode())
    drop_others(out_dir / "tables", (out_dir / file for file in frames))
    by_id = {finding.id: verdict for finding, verdict in verdicts.items()}
    write_json(out_dir / "metrics.json", metrics(by_id, aggregates))
    return [out_dir / file for file in (*frames, "metrics.json")]


def effects_of(verdicts: Mapping[Finding, Verdict], aggregates: Aggregates) -> pl.DataFrame:
    """The rows of findings.csv of some findings: one an effect."""
    known = {"scale": aggregates.scale, "confidence": aggregates.confidence}
    rows = [known | row for finding, verdict in verdicts.items() for row in _rows(finding, verdict)]
    return pl.DataFrame(rows, schema=FINDINGS_SCHEMA)


def _rows(finding: Finding, verdict: Verdict) -> list[dict[str, Any]]:
    own = {
        "id": finding.id,
        "section": finding.section,
        "verdict": verdict.verdict,
        "reason": verdict.reason,
        "survival": verdict.survival,
        "claim": finding.claim,
    }
    deciding = verdict.deciding
    return [own | _row(effect) | {"decides": "yes" if effect is deciding else ""} for effect in verdict.everything]


def _row(effect: Effect) -> dict[str, Any]:
    same = ("of", "quantity", "holds", "rival", "unit", "state", "value", "low", "high", "note")
    claimed = {"claimed": None, "claimed_low": None, "claimed_high": None}
    if effect.claim is not None:
        ends = {"claimed_low": effect.claim.low, "claimed_high": effect.claim.high}
        claimed = {"claimed": effect.claim.words} | {end: _finite(value) for end, value in ends.items()}
    return {
        **{name: getattr(effect, name) for name in same},
        **claimed,
        "by_seed": ";".join(map(repr, effect.by_seed)),
        "by_layer": ";".join(map(repr, effect.by_layer)),
        "runs": ";".join(effect.runs),
    }


def _finite(value: float) -> float | None:
    """None in place of an end that is not there."""
    return value if math.isfinite(value) else None
