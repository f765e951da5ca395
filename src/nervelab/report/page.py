"""What the page says, as words and cells; the templates only arrange it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from nervelab.analysis.analyse import FINDINGS_SCHEMA
from nervelab.analysis.findings.finding import Finding
from nervelab.analysis.findings.registry import FINDINGS
from nervelab.analysis.labels import architecture
from nervelab.analysis.tables.registry import TABLES
from nervelab.analysis.tables.table import Table
from nervelab.errors import NervelabError
from nervelab.report import format as shown
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
    return {
        "scale": listing["scale"],
        "scale_warning": _SCALES.get(listing["scale"], _OTHER_SCALE),
        "data": [_data(name, facts) for name, facts in sorted(listing.get("data", {}).items())],
        "findings": _findings(results_dir / "findings.csv"),
        "tables": [_table(table, results_dir) for table in TABLES],
        "runs": [_run(row) for row in runs.iter_rows(named=True)],
        "failed": runs.filter(pl.col("outcome") != "finished").height,
        "window": shown.percent(settings.window_start),
        "confidence": shown.percent(settings.confidence),
        "resamples": shown.whole(settings.bootstrap),
    }


def _read(path: Path, schema: dict[str, pl.DataType] | None = None) -> pl.DataFrame:
    if not path.is_file():
        raise NervelabError(f"{path} is missing: run make again.")
    return pl.read_csv(path, schema=schema, infer_schema_length=None)


def _findings(path: Path) -> list[dict[str, Any]]:
    rows = _read(path, FINDINGS_SCHEMA).partition_by("id", as_dict=True)
    missing = [finding.id for finding in FINDINGS if (finding.id,) not in rows]
    if missing:
        raise NervelabError(f"{path} lacks the finding {missing[0]}: delete it and run make again.")
    return [_finding(finding, rows[(finding.id,)]) for finding in FINDINGS]


def _finding(finding: Finding, rows: pl.DataFrame) -> dict[str, Any]:
    return {
        "id": finding.id,
        "section": finding.section,
        "claim": finding.claim,
        "rule": finding.rule,
        "caveat": finding.caveat,
        "revisions": finding.revisions,
        "verdict": rows["verdict"][0],
        "reason": rows["reason"][0],
        "effects": [_effect(row) for row in rows.iter_rows(named=True)],
    }


def _effect(row: dict[str, Any]) -> dict[str, str]:
    measured = row["value"] is not None
    value = shown.significant(row["value"], signed=True)
    if measured and row["unit"]:
        value = f"{value} {row['unit']}"
    interval = shown.between(row["low"], row["high"])
    relative = shown.percent(row["relative"], signed=True)
    return {
        "of": row["of"],
        "state": row["state"],
        "value": value,
        "interval": interval,
        "relative": relative,
        "agreeing": shown.percent(row["agreeing"]),
        "n": row["n"] or shown.MISSING,
        "summary": f"{value} {interval}, {relative}" if measured else row["state"],
    }


def _table(table: Table, results_dir: Path) -> dict[str, Any]:
    frame = _read(results_dir / "tables" / f"{table.id}.csv")
    return {
        "id": table.id,
        "title": table.title,
        "caption": table.caption,
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
