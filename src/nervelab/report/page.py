"""What the page says, as words and cells; the templates only arrange it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl

from nervelab.analysis.aggregates import SEEDS
from nervelab.analysis.analyse import FINDINGS_SCHEMA
from nervelab.analysis.findings.finding import Finding
from nervelab.analysis.findings.registry import FINDINGS
from nervelab.analysis.labels import WINDOW, architecture
from nervelab.analysis.tables.registry import TABLES
from nervelab.analysis.tables.settings import SETTINGS
from nervelab.analysis.tables.table import Table
from nervelab.analysis.words import facts, filled
from nervelab.errors import NervelabError
from nervelab.report import format as shown
from nervelab.report.choices import choices
from nervelab.study.decisions import Analysis

_SCALES = {
    "smoke": (
        "The smoke scale checks that the machinery runs; its verdicts claim nothing, and say nothing about "
        "the paper's scale."
    ),
    "laptop": (
        "Models and data are far smaller than the paper's: a laptop-scale verdict says nothing about the paper's scale."
    ),
    "paper": "",
}
_OTHER_SCALE = "Models and data are not the paper's: a verdict at this scale says nothing about the paper's scale."


def context(
    *,
    results_dir: Path,
    runs: pl.DataFrame,
    listing: dict[str, Any],
    settings: Analysis,
) -> dict[str, Any]:
    """Everything on the page except figures, timings and versions.

    Args:
        results_dir: where `analyse` wrote findings.csv and tables/.
        runs: runs.parquet.
        listing: the content of runs.json.
        settings: the `analysis:` section of params.yaml.

    Raises:
        NervelabError: a table or findings.csv is missing, or does not hold every registered finding.
    """
    known = facts(runs, settings)
    rules = _rules(results_dir / "findings.csv", known)
    tables = {table.id: _table(table, results_dir, known, listing["scale"]) for table in TABLES}
    return {
        "scale": listing["scale"],
        "scale_warning": _SCALES.get(listing["scale"], _OTHER_SCALE),
        "data": [_data(name, facts) for name, facts in sorted(listing.get("data", {}).items())],
        "rules": rules,
        "findings": [finding for rule in rules for finding in rule["findings"]],
        "sections": sorted({rule["section"] for rule in rules}),
        "seeds": _seeds(rules),
        "settings": tables.pop(SETTINGS.id),
        "choices": choices([json.loads(config) for config in runs["config"].unique(maintain_order=True)]),
        "tables": list(tables.values()),
        "runs": [_run(row) for row in runs.iter_rows(named=True)],
        "failed": runs.filter(pl.col("outcome") != "finished").height,
        "window": filled(WINDOW, known),
        "one_seed": SEEDS,
        "facts": known,
        "confidence": shown.percent(settings.confidence),
        "resamples": shown.whole(settings.bootstrap),
    }


def _read(path: Path, schema: dict[str, pl.DataType] | None = None) -> pl.DataFrame:
    if not path.is_file():
        raise NervelabError(f"{path} is missing: run make again.")
    return pl.read_csv(path, schema=schema, infer_schema_length=None)


def _rules(path: Path, known: dict[str, str]) -> list[dict[str, Any]]:
    """The rules in the order of their findings, each with the findings that it decides."""
    rows = _read(path, FINDINGS_SCHEMA).partition_by("id", as_dict=True)
    missing = [finding.id for finding in FINDINGS if (finding.id,) not in rows]
    if missing:
        raise NervelabError(f"{path} lacks the finding {missing[0]}: delete it and run make again.")
    return [
        {
            "id": rule.id,
            "title": rule.title,
            "section": rule.section,
            "text": filled(rule.text, known),
            "caveat": filled(rule.caveat, known),
            "revisions": rule.revisions,
            "findings": [_finding(finding, rows[(finding.id,)]) for finding in FINDINGS if finding.rule == rule],
        }
        for rule in dict.fromkeys(finding.rule for finding in FINDINGS)
    ]


def _finding(finding: Finding, rows: pl.DataFrame) -> dict[str, Any]:
    return {
        "id": finding.id,
        "section": finding.rule.section,
        "claim": finding.claim,
        "verdict": rows["verdict"][0],
        "reason": rows["reason"][0],
        "effects": [_effect(row) for row in rows.iter_rows(named=True)],
        "seeds": rows["n_seeds"].max() or 0,
    }


def _seeds(rules: list[dict[str, Any]]) -> str:
    """On how many seeds verdicts rest, in words."""
    counts = sorted({finding["seeds"] for rule in rules for finding in rule["findings"] if finding["seeds"]})
    if not counts:
        return "No verdict rests on a finished run."
    words = " or ".join("one seed" if count == 1 else f"{count} seeds" for count in counts)
    return f"Verdicts rest on {words} of each run named."


def _effect(row: dict[str, Any]) -> dict[str, str]:
    measured = row["value"] is not None
    value = shown.significant(row["value"], signed=True)
    if measured and row["unit"]:
        value = f"{value} {row['unit']}"
    interval = shown.between(row["low"], row["high"])
    relative = shown.percent(row["relative"], signed=True)
    layers = (shown.significant(float(layer), signed=True) for layer in (row["layers"] or "").split(";") if layer)
    return {
        "of": row["of"],
        "state": row["state"],
        "value": value,
        "interval": interval,
        "relative": relative,
        "layers": ", ".join(layers) or shown.MISSING,
        "untrained": shown.significant(row["untrained"], signed=True),
        "agreeing": shown.percent(row["agreeing"]),
        "checkpoints": shown.whole(row["n_checkpoints"]),
        "summary": f"{value} {interval}, {relative}" if measured else row["state"],
    }


def _table(table: Table, results_dir: Path, known: dict[str, str], scale: str) -> dict[str, Any]:
    frame = _read(results_dir / "tables" / f"{table.id}.csv")
    return {
        "id": table.id,
        "title": table.title,
        "caption": filled(table.caption, known),
        "remark": table.remark(frame, scale),
        "headings": [column.heading for column in table.columns],
        "rows": [[shown.cell(row, column) for column in table.columns] for row in frame.iter_rows(named=True)],
    }


def _run(row: dict[str, Any]) -> dict[str, str]:
    failed = row["outcome"] != "finished"
    return {
        "name": row["name"],
        "model": architecture(row),
        "parameters": shown.whole(row["parameters"]),
        "outcome": f"{row['outcome']} at step {row['stopped_at']}" if failed else "finished",
        "failed": failed,
        "steps": shown.whole(row["steps"]),
        "eval_loss": shown.number(row["eval_loss"], 3),
        "perplexity": shown.number(row["perplexity"], 2),
        "unigram_loss": shown.number(row["unigram_loss"], 3),
        "eval_tokens": shown.whole(row["eval_tokens"]),
    }


def _data(name: str, facts: dict[str, Any]) -> dict[str, Any]:
    """One data set, from the manifests of its corpus and of its tokens; every fact may be absent."""
    corpus, tokens = facts.get("corpus", {}), facts.get("tokens", {})
    lines = []
    if "bytes" in corpus:
        sizes = (f"{split} {shown.number(size / 1e6, 2)} MB" for split, size in corpus["bytes"].items())
        lines.append(f"Text: {', '.join(sizes)}, split by document.")
    if "tokens" in tokens:
        counts = (f"{split} {shown.whole(count)}" for split, count in tokens["tokens"].items())
        lines.append(f"Tokens, from a vocabulary of {shown.whole(tokens.get('vocabulary'))}: {', '.join(counts)}.")
    licences = (f"{source}: {licence}" for source, licence in corpus.get("licences", {}).items())
    lines.append(f"Sources and licences: {'; '.join(licences) or 'not recorded'}.")
    return {"name": name, "origin": _origin(corpus), "lines": lines}


def _origin(corpus: dict[str, Any]) -> str:
    if "stands_for" not in corpus:
        return "whether it is the paper's own data is not recorded"
    stands_for = corpus["stands_for"]
    return f"a stand-in for {stands_for}, which the paper uses" if stands_for else "no stand-in: the data set itself"
