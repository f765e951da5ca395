"""From a number in results/ to the runs behind it: recomputed from their files and compared."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import polars as pl

from nervelab import layout, runfiles
from nervelab.aggregates.collect import gather
from nervelab.aggregates.find import Aggregates
from nervelab.aggregates.run import names
from nervelab.analysis.analyse import effects_of
from nervelab.analysis.findings.effects import SEED_NOISE
from nervelab.analysis.findings.registry import FINDINGS
from nervelab.analysis.metrics import losses_of, mean_loss
from nervelab.analysis.tables.registry import TABLES
from nervelab.analysis.tables.table import RUNS, Table
from nervelab.errors import NervelabError, missing
from nervelab.files import read_json, sha256
from nervelab.study.decisions import Analysis
from nervelab.study.params import ScaleName

REMEDY = "run make again."
FORM = "FILE.csv:ROW:COLUMN (ROW a number from 1, or KEY=VALUE[,KEY=VALUE]), or results/metrics.json:GROUP.NAME"
_OF_THE_RULE = ("scale", "id", "section", "claim", "rival", "confidence", "claimed", "claimed_low", "claimed_high")
_OF_ALL_EFFECTS = ("verdict", "reason", "survival", "decides")
_BY_INTERVAL = ("low", "high", "holds", *_OF_ALL_EFFECTS)


@dataclass(frozen=True)
class Trace:
    """What is behind a number.

    Attributes:
        of: the number's place, in words.
        held: the number as the file holds it.
        recomputed: as the runs' files give it; None if the rebuilt file has no such place.
        runs: the names of the runs that were looked up for it.
        verified: how many runs were compared with their sha256.
        note: what else it rests on, in words.
    """

    of: str
    held: str
    recomputed: str | None
    runs: tuple[str, ...]
    verified: int
    note: str = ""

    @property
    def equal(self) -> bool:
        """Whether the file holds what the runs give."""
        return self.held == self.recomputed


@dataclass(frozen=True)
class Source:
    """The results that a file belongs to, and how their runs are read."""

    results: Path
    settings: Analysis

    @property
    def runs_json(self) -> Path:
        """Their list of runs."""
        return self.results / "runs.json"

    def listing(self) -> dict[str, Any]:
        """Its content."""
        return read_json(self.runs_json, REMEDY)

    def gathered(self) -> Aggregates:
        """Every run, verified: its files by its run.json, that by runs.json.

        Raises:
            NervelabError: a run is missing or damaged, or is another than the results were made of.
        """
        listing = self.listing()
        aggregates = Aggregates.of(gather(listing, layout.RUNS), self.settings)
        for run in listing["runs"]:
            path = layout.run_folder(listing["scale"], run["name"]) / runfiles.RUN_JSON
            if run.get("run_json_sha256", sha256(path)) != sha256(path):
                raise NervelabError(f"{path} is not the one that {self.runs_json} was made of: {REMEDY}")
        return aggregates


def trace(address: str, settings: Callable[[], Analysis]) -> tuple[Trace, Source]:
    """Recompute the number at `address`, which has the form `FORM`, and say which runs were looked up for it.

    Args:
        address: the file and the place in it.
        settings: reads the `analysis:` section of params.yaml.

    Raises:
        NervelabError: there is no such place, no run is behind it, or a run is missing or damaged.
    """
    file, place = _parted(address)
    results, inside = _located(file)
    if not file.is_file():
        raise missing(file, REMEDY)
    if inside == Path("metrics.json"):
        kind = _metric
    elif inside == Path("findings.csv"):
        kind = _effect
    elif inside.parent == Path("tables") and inside.stem in {table.id for table in TABLES}:
        kind = _cell
    else:
        raise NervelabError(f"{file}: nothing is traced from it: name {FORM} of tables/, findings.csv or metrics.json.")
    source = Source(results, settings())
    return kind(file, place, source), source


def _parted(address: str) -> tuple[Path, str]:
    found = re.fullmatch(r"(.+?\.(?:csv|json)):(.+)", address)
    if found is None:
        raise NervelabError(f"{address} names no place in a file: write {FORM}.")
    return Path(found[1]), found[2]


def _located(file: Path) -> tuple[Path, Path]:
    """The folder of results that a file lies in (`results/`, of one scale, of one study), and its place there."""
    root = Path.cwd() / layout.RESULTS
    try:
        parts = (Path.cwd() / file).resolve().relative_to(root.resolve()).parts
    except ValueError as error:
        raise NervelabError(f"{file} lies outside {layout.RESULTS}: name a file below it.") from error
    depth = 0
    if parts[depth] in get_args(ScaleName):
        depth += 1
    if parts[depth : depth + 1] == ("only",):
        depth += 2
    return layout.RESULTS.joinpath(*parts[:depth]), Path(*parts[depth:])


@dataclass(frozen=True)
class _Place:
    """A cell of a CSV file: its row counted from 0, its column, what it holds, and the whole row."""

    number: int
    column: str
    row: dict[str, str]

    @property
    def held(self) -> str:
        return self.row[self.column]


def _found(file: Path, place: str) -> tuple[_Place, list[dict[str, str]]]:
    """The cell at ROW:COLUMN of a file, and all of its rows."""
    row, _, column = place.rpartition(":")
    rows = _rows(file.read_text(encoding="utf-8"))
    if not row:
        raise NervelabError(f"{file}:{place} names no row or no column: write {FORM}.")
    if not rows:
        raise NervelabError(f"{file} has no rows: there is nothing to trace.")
    if column not in rows[0]:
        raise NervelabError(f"{file} has no column {column!r}; it has {', '.join(rows[0])}.")
    if row.isdecimal():
        number = int(row) - 1
        if not 0 <= number < len(rows):
            raise NervelabError(f"{file} has the rows 1 to {len(rows)}: there is no row {row}.")
        return _Place(number, column, rows[number]), rows
    # A value may hold commas: the next key begins where a word is followed by "=".
    wanted = dict(pair.split("=", 1) for pair in re.split(r",(?=\w+=)", row) if "=" in pair)
    unknown = set(wanted) - set(rows[0])
    if not wanted or unknown:
        raise NervelabError(f"{file}:{row} names no row: name its columns ({', '.join(rows[0])}) as KEY=VALUE.")
    fitting = [number for number, each in enumerate(rows) if wanted.items() <= each.items()]
    if len(fitting) != 1:
        told = "no row has" if not fitting else f"{len(fitting)} rows have"
        raise NervelabError(f"{file}: {told} {row}: name more keys, or the number of the row from 1 on.")
    return _Place(fitting[0], column, rows[fitting[0]]), rows


def _rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def _as_file(frame: pl.DataFrame) -> list[dict[str, str]]:
    """The rows of a frame as its file would hold them."""
    return _rows(frame.write_csv())


def _cell(file: Path, address: str, source: Source) -> Trace:
    place, _ = _found(file, address)
    table = next(table for table in TABLES if table.id == file.stem)
    _refuse_without_runs(file, place.column, table)
    aggregates = source.gathered()
    frame = table.traced(aggregates)
    if RUNS not in frame.columns:
        raise NervelabError(f"{file}: no run is behind it: its numbers follow from the settings and the paper alone.")
    rebuilt = _as_file(frame.drop(RUNS))
    there = place.number < len(rebuilt)
    runs = tuple(frame[RUNS][place.number]) if there else ()
    return _traced(file, place, rebuilt[place.number] if there else None, runs, aggregates)


def _refuse_without_runs(file: Path, column: str, table: Table) -> None:
    if column.startswith(("paper", "printed")):
        raise NervelabError(f"{file}: {column} is the paper's: no run is behind it, paper/printed.yaml has its source.")
    if column in table.across:
        raise NervelabError(
            f"{file}: {column} holds a row against the others by what all of them measured: trace another column of "
            "each."
        )


def _effect(file: Path, address: str, source: Source) -> Trace:
    place, rows = _found(file, address)
    if place.column in _OF_THE_RULE:
        raise NervelabError(f"{file}: {place.column} says what is claimed, not what was measured: no run is behind it.")
    finding = next((finding for finding in FINDINGS if finding.id == place.row["id"]), None)
    if finding is None:
        raise NervelabError(f"{file}: there is no finding {place.row['id']!r}: {REMEDY}")
    aggregates = source.gathered()
    frame = effects_of({finding: finding.decide(aggregates)}, aggregates)
    rebuilt = _as_file(frame)
    within = sum(each["id"] == finding.id for each in rows[: place.number])
    row = rebuilt[within] if within < len(rebuilt) else None
    of_all = place.column in _OF_ALL_EFFECTS
    runs = ";".join(each["runs"] for each in (rebuilt if of_all else [row or {"runs": ""}]))
    by_noise = place.column in _BY_INTERVAL and SEED_NOISE in finding.rule
    return _traced(file, place, row, tuple(filter(None, runs.split(";"))), aggregates, by_noise=by_noise)


def _traced(
    file: Path,
    place: _Place,
    row: dict[str, str] | None,
    runs: tuple[str, ...],
    aggregates: Aggregates,
    *,
    by_noise: bool = False,
) -> Trace:
    if row is not None and not runs:
        state = f" ({row['state']})" if row.get("state") else ""
        raise NervelabError(f"{file}: no run was looked up for row {place.number + 1}{state}: nothing can be traced.")
    return Trace(
        of=f"{file}, row {place.number + 1}, {place.column}",
        held=place.held,
        recomputed=None if row is None else row[place.column],
        runs=tuple(dict.fromkeys(runs)),
        verified=len(aggregates.runs),
        note=_NOISE if by_noise else "",
    )


_NOISE = "Its interval rests on seed noise too, which other runs have a part in: trace tables/seed-noise.csv."


def _metric(file: Path, address: str, source: Source) -> Trace:
    group, _, name = address.partition(".")
    content = read_json(file, REMEDY)
    if name not in content.get(group, {}):
        known = [f"{key}.{each}" for key, inner in content.items() if isinstance(inner, dict) for each in inner]
        raise NervelabError(f"{file} has no {address!r}; it has {', '.join(known)}.")
    if group not in ("effects", "loss"):
        raise NervelabError(f"{file}: {address} counts findings: trace the verdict of a row of findings.csv.")
    aggregates = source.gathered()
    if group == "loss":
        runs = losses_of(aggregates).get(name, ())
        recomputed, behind = mean_loss(runs), names(runs)
    else:
        finding = next((finding for finding in FINDINGS if finding.id == name), None)
        effect = finding.decide(aggregates).deciding if finding else None
        recomputed, behind = (effect.value, effect.runs) if effect else (None, ())
    if not behind:
        raise NervelabError(f"{file}: no run was looked up for {address}: nothing can be traced.")
    return Trace(
        of=f"{file}, {address}",
        held=json.dumps(content[group][name]),
        recomputed=json.dumps(recomputed),
        runs=behind,
        verified=len(aggregates.runs),
    )
