"""What the page says, as words and cells; the templates only arrange it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from nervelab.analysis.analyse import FINDINGS_SCHEMA
from nervelab.analysis.environments import Environment, mixtures
from nervelab.analysis.findings.finding import VERDICTS, WORDS, Finding
from nervelab.analysis.findings.registry import FINDINGS
from nervelab.analysis.tables.registry import TABLES
from nervelab.analysis.tables.settings import SETTINGS
from nervelab.analysis.tables.table import Table, cell
from nervelab.errors import NervelabError
from nervelab.report.choices import choices
from nervelab.statistics.coverage import BEYOND, COVERAGE, TRIALS
from nervelab.study.decisions import Analysis
from nervelab.words import numbers as shown
from nervelab.words.facts import facts, filled
from nervelab.words.labels import WINDOW
from nervelab.words.numbers import THIN
from nervelab.words.runs import run_named

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
# What only some effects have.
_EXTRAS = (("rival", "beside the rival"), ("by_seed", "by seed"), ("by_layer", "by layer"), ("note", "note"))
_OTHER_SCALE = "Models and data are not the paper's: a verdict at this scale says nothing about the paper's scale."


def context(
    *,
    results_dir: Path,
    runs: pl.DataFrame,
    listing: dict[str, Any],
    settings: Analysis,
    environments: Mapping[str, Environment],
) -> dict[str, Any]:
    """Everything on the page except figures, timings and versions.

    Args:
        results_dir: where `analyse` wrote findings.csv and tables/.
        runs: runs.parquet.
        listing: the content of runs.json.
        settings: the `analysis:` section of params.yaml.
        environments: what environment.json of each run holds, by the run's name.

    Raises:
        NervelabError: a table or findings.csv is missing, or does not hold every registered finding.
    """
    known = facts(runs, settings)
    findings = _findings(results_dir / "findings.csv", known, environments)
    tables = {table.id: _table(table, results_dir, known) for table in TABLES}
    return {
        "scale": listing["scale"],
        "scale_warning": _SCALES.get(listing["scale"], _OTHER_SCALE),
        "data": [_data(name, facts) for name, facts in sorted(listing.get("data", {}).items())],
        "findings": findings,
        "mixed": [finding for finding in findings if finding["mixed"]],
        "words": WORDS,
        "counts": Counter(finding["verdict"] for finding in findings),
        "sections": _sections(findings),
        "decided": _in_order(
            section
            for finding in findings
            if finding["verdict"] != "not run"
            for section in finding["section"].split(", ")
        ),
        "undecided": _in_order(
            section for table in TABLES if tables[table.id]["finished"] for section in table.undecided
        ),
        "revisions": _revisions(findings),
        "verdicts": VERDICTS,
        "coverage": _coverage(),
        "settings": tables[SETTINGS.id],
        "choices": choices([json.loads(config) for config in runs["config"].unique(maintain_order=True)]),
        "tables": [table for id, table in tables.items() if table["headings"] and id != SETTINGS.id],
        "data_tables": [table for table in tables.values() if not table["headings"]],
        "runs": [_run(row) for row in runs.iter_rows(named=True)],
        "failed": [_run(row) for row in runs.filter(pl.col("outcome") != "finished").iter_rows(named=True)],
        "window": filled(WINDOW, known),
        "facts": known,
        "confidence": shown.percent(settings.confidence),
        "resamples": shown.whole(settings.bootstrap),
    }


def _read(path: Path, schema: dict[str, pl.DataType] | None = None) -> pl.DataFrame:
    if not path.is_file():
        raise NervelabError(f"{path} is missing: run make again.")
    return pl.read_csv(path, schema=schema, infer_schema_length=None)


def _findings(path: Path, known: dict[str, str], environments: Mapping[str, Environment]) -> list[dict[str, Any]]:
    """The findings in their order, each with its verdict, its rule and its effects."""
    rows = _read(path, FINDINGS_SCHEMA).partition_by("id", as_dict=True)
    missing = [finding.id for finding in FINDINGS if (finding.id,) not in rows]
    if missing:
        raise NervelabError(f"{path} lacks the finding {missing[0]}: delete it and run make again.")
    compared = {id: {name for each in part["runs"] for name in (each or "").split(";")} for (id,), part in rows.items()}
    mixed = mixtures(compared, environments)
    return [_finding(finding, rows[(finding.id,)], known, mixed.get(finding.id, "")) for finding in FINDINGS]


def _finding(finding: Finding, rows: pl.DataFrame, known: dict[str, str], mixed: str) -> dict[str, Any]:
    effects = [_effect(row) for row in rows.iter_rows(named=True)]
    return {
        "id": finding.id,
        "section": finding.section,
        "claim": finding.claim,
        "verdict": rows["verdict"][0],
        "reason": rows["reason"][0],
        "survival": rows["survival"][0] or "",
        "effects": effects,
        "extras": [(key, words) for key, words in _EXTRAS if any(effect[key] for effect in effects)],
        "decisive": next(effect for effect in effects if effect["decides"]),
        "rule": shown.with_minus(filled(finding.rule, known)),
        "rivals": shown.with_minus(filled(finding.rivals.words, known)),
        "caveat": shown.with_minus(filled(finding.caveat, known)),
        "revisions": finding.revisions,
        "mixed": mixed,
    }


def _sections(findings: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The findings by section of the paper, those with one rule together."""
    sections: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for finding in findings:
        sections.setdefault(finding["section"], {}).setdefault(finding["rule"], []).append(finding)
    return [
        {
            "title": section,
            "groups": [
                {"rule": rule, "caveat": members[0]["caveat"], "rivals": members[0]["rivals"], "findings": members}
                for rule, members in groups.items()
            ],
        }
        for section, groups in sections.items()
    ]


def _in_order(sections: Iterable[str]) -> list[str]:
    """Sections of the paper, each once, the appendices after the numbered ones."""
    return sorted(set(sections), key=lambda section: (section[0].isalpha(), section))


def _coverage() -> str:
    """How often intervals held the true value where it was known."""
    within = [share for kind, share in COVERAGE.items() if kind not in BEYOND]
    beyond = "; ".join(
        f"{kind.replace('_', ' ')} in {100 * COVERAGE[kind]:.1f} % ({why})" for kind, why in BEYOND.items()
    )
    return (
        f"Tried {TRIALS} times each on made-up data whose answer is known, the {len(within)} kinds of interval used "
        f"here held it in {100 * min(within):.1f} to {100 * max(within):.1f} % at the 95 % level, but for: {beyond}. "
        "Made-up checkpoints are correlated with their neighbours and do not drift, as real ones do."
    )


def _revisions(findings: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Changes of rules, each once, with the findings that it concerns."""
    concerned: dict[str, list[str]] = {}
    for finding in findings:
        for revision in finding["revisions"]:
            concerned.setdefault(revision, []).append(finding["id"])
    return [{"ids": ids, "text": revision} for revision, ids in concerned.items()]


def _effect(row: dict[str, Any]) -> dict[str, Any]:
    measured = row["value"] is not None
    signed = 0 in (row["claimed_low"], row["claimed_high"])  # where the claim is one about the sign
    value = shown.significant(row["value"], signed=signed)
    if measured and row["unit"]:
        value = f"{value} {row['unit']}"
    exact = row["low"] == row["high"]
    interval = shown.MISSING if exact else shown.between(row["low"], row["high"], signed=signed)
    summary = f"{value} {interval}".removesuffix(f" {shown.MISSING}") if measured else row["state"]
    return {
        "of": row["of"],
        "quantity": row["quantity"],
        "claimed": row["claimed"] or "",
        "holds": row["holds"] or "",
        "state": row["state"],
        "rival": row["rival"] or "",
        "value": value,
        "interval": interval,
        "by_seed": _listed(row["by_seed"], signed=signed),
        "by_layer": _listed(row["by_layer"], signed=signed),
        "note": shown.with_minus(row["note"] or ""),
        "summary": summary,
        "decides": row["decides"] == "yes",
    }


def _listed(joined: str | None, *, signed: bool) -> str:
    """Numbers joined by ";" as a reader sees them."""
    numbers = (shown.significant(float(each), signed=signed) for each in (joined or "").split(";") if each)
    return ", ".join(numbers)


def _table(table: Table, results_dir: Path, known: dict[str, str]) -> dict[str, Any]:
    frame = _read(results_dir / "tables" / f"{table.id}.csv")
    rows = table.arrange(frame).iter_rows(named=True) if table.columns else ()
    return {
        "id": table.id,
        "title": table.title,
        "caption": filled(table.caption, known),
        "remark": table.remark(frame) if len(frame) else "",
        "absent": table.absent,
        "finished": "state" in frame.columns and "finished" in frame["state"],
        "headings": [column.heading for column in table.columns],
        "rows": [[cell(row, column) for column in table.columns] for row in rows],
    }


def _run(row: dict[str, Any]) -> dict[str, str]:
    failed = row["outcome"] != "finished"
    return {
        "name": row["name"],
        "model": run_named(row),
        "seed": str(row["seed"]),
        "parameters": shown.whole(row["parameters"]),
        "outcome": f"{row['outcome']} at step {row['stopped_at']}" if failed else "finished",
        "failed": failed,
        "steps": shown.whole(row["steps"]),
        "eval_loss": shown.number(row["eval_loss"], 3),
        "quality": shown.number(row["perplexity"], 2) if row["eval_accuracy"] is None else _accuracy(row),
        "unigram_loss": shown.number(row["unigram_loss"], 3),
        "eval_tokens": shown.whole(row["eval_tokens"]),
    }


def _accuracy(row: dict[str, Any]) -> str:
    return f"{shown.number(100 * row['eval_accuracy'], 1)}{THIN}%"


def _data(name: str, facts: dict[str, Any]) -> dict[str, Any]:
    """One data set, from the manifests of its corpus and of its tokens; every fact may be absent."""
    corpus, tokens = facts.get("corpus", {}), facts.get("tokens", {})
    lines = []
    if "images" in corpus:
        counts = (f"{split} {shown.whole(count)}" for split, count in corpus["images"].items())
        lines.append(f"Images of {corpus['classes']} classes: {', '.join(counts)}.")
    elif "bytes" in corpus:
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
