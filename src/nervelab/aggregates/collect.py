"""From run folders and their probes to six tables, the only thing that later analysis reads."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import polars as pl

from nervelab import layout, runfiles
from nervelab.aggregates.verified import REMEDY, RunFolder, open_probe, open_run
from nervelab.errors import NervelabError, damaged
from nervelab.files import canonical_json, read_json, write_bytes
from nervelab.probefiles import COLUMNS, PROBES
from nervelab.statistics.exponential import perplexity

_IDENTITY = {"scale": pl.String, "name": pl.String, "id": pl.String, "studies": pl.List(pl.String)}
# Settings that runs are looked up and named by: there even if no run at hand has them.
_ALWAYS = {
    **dict.fromkeys(("base", "placement", "activation", "token_activation", "optimiser"), pl.String),
    **dict.fromkeys(("width_multiple", "seed"), pl.Int64),
}
_RESULTS = {
    "off_base": pl.List(pl.String),
    "recipes": pl.List(pl.String),
    "config": pl.String,
    "parameters": pl.Int64,
    "outcome": pl.String,
    "stopped_at": pl.Int64,
    "steps": pl.Int64,
    "eval_loss": pl.Float64,
    "eval_accuracy": pl.Float64,
    "perplexity": pl.Float64,
    "eval_tokens": pl.Int64,
    "unigram_loss": pl.Float64,
}
_PROBED = {
    **dict.fromkeys(("name", "activations"), pl.String),
    **dict.fromkeys(("draw", "layer"), pl.Int64),
    **dict.fromkeys(COLUMNS, pl.Float64),
}
# Columns of the history that nothing is made of; runs that were adopted from before them have none.
_OF_EACH_STEP = ("rates", "batches")


def aggregate(runs_json: Path, runs_root: Path, out_dir: Path, probes_root: Path = layout.PROBES) -> list[Path]:
    """Verify every listed run and gather all of them into six tables below `out_dir`.

    runs.parquet has one row a run, in the order of runs.json, with the run's settings as columns; `off_base` names
    those of them in which the run differs from its study's base, `recipes` those by which it was trained as it was,
    `config` is its whole RunConfig as JSON.
    spectra.parquet and history.parquet hold the rows of all runs behind a column `name`. timing.parquet and
    estimators.parquet do too, and are the only ones that may differ between two executions of the same runs.
    probes.parquet has the rows of every listed probe that was made (see `nervelab.probefiles`).

    Args:
        runs_json: results/runs.json.
        runs_root: the folder of all scales, `runs`; a run lies in <runs_root>/<scale>/<name>.
        out_dir: where the tables go.
        probes_root: the folder of the probes of all scales, `probes`.

    Returns:
        The files written.

    Raises:
        NervelabError: runs.json or a file of a run is missing, or one of a run or a probe damaged.
    """
    listing = read_json(runs_json, "run make again.")
    if not listing["runs"]:
        raise NervelabError(f"{runs_json} lists no runs: choose at least one study in params.yaml and run make again.")
    gathered = gather(listing, runs_root, probes_root)
    for file, table in gathered.items():
        content = BytesIO()  # serialised first: Polars reports a full disk as an error of its own
        table.write_parquet(content)
        write_bytes(out_dir / file, content.getvalue())
    return [out_dir / file for file in gathered]


def gather(listing: dict[str, Any], runs_root: Path, probes_root: Path = layout.PROBES) -> dict[str, pl.DataFrame]:
    """What `aggregate` writes of the runs that the content of a runs.json lists, by the name of the file.

    Raises:
        NervelabError: a file of a run is missing, or one of a run or a probe damaged.
    """
    folders = [open_run(runs_root / listing["scale"] / run["name"], run) for run in listing["runs"]]
    gathered = {"runs.parquet": _runs(folders, listing["scale"])}
    for file in (runfiles.SPECTRA, runfiles.HISTORY, runfiles.TIMING, runfiles.ESTIMATORS):
        tables = [_named(folder.table(file), folder.listed["name"]) for folder in folders]
        gathered[file] = pl.concat(table.drop(_OF_EACH_STEP, strict=False) for table in tables)
    gathered[PROBES] = _probes(listing, probes_root / listing["scale"])
    return gathered


def no_probes() -> pl.DataFrame:
    """probes.parquet of runs of which none was probed."""
    return pl.DataFrame(schema=_PROBED)


def _runs(folders: list[RunFolder], scale: str) -> pl.DataFrame:
    settings = [_columns(folder.listed["settings"]) for folder in folders]
    names = sorted({*_ALWAYS, *(name for columns in settings for name in columns)})
    # Different types under one name (8 and "all") would be a defect of the study, and polars says so.
    rows = [
        {"scale": scale, "name": folder.listed["name"], "id": folder.listed["id"], "studies": folder.listed["studies"]}
        | {name: columns.get(name) for name in names}
        | {"off_base": [column(key) for key in folder.listed.get("off_base", [])]}
        | {"recipes": folder.listed.get("recipes", [])}
        | _results(folder.recorded)
        for folder, columns in zip(folders, settings, strict=True)
    ]
    order = [*_IDENTITY, *names, *_RESULTS]
    return pl.DataFrame(rows, schema_overrides=_IDENTITY | _ALWAYS | _RESULTS, infer_schema_length=None).select(order)


def _probes(listing: dict[str, Any], folder: Path) -> pl.DataFrame:
    """The rows of the probes of the listed runs that were made."""
    tables = [no_probes()]
    for run in listing["runs"]:
        id = run.get("probe")  # what was listed before there were probes has none
        place = layout.probe_folder(listing["scale"], run["name"], id or "").name
        table = open_probe(folder / place, id=id, run=run["id"]) if id else None
        if table is None:
            continue
        if table.schema != {name: kind for name, kind in _PROBED.items() if name != "name"}:
            raise damaged(folder / place / PROBES, "its columns are others", REMEDY)
        tables.append(_named(table, run["name"]))
    return pl.concat(tables)


def column(key: str) -> str:
    """A setting as a column's name: model.width_multiple -> width_multiple, optimiser.lr -> optimiser_lr."""
    return key.removeprefix("model.").replace(".", "_")


def _columns(settings: dict[str, Any]) -> dict[str, Any]:
    return {column(key): value for key, value in settings.items()}


def _results(recorded: dict[str, Any]) -> dict[str, Any]:
    final = recorded["final"]
    loss = final["eval_loss"]
    return {
        "config": canonical_json(recorded["config"]),
        "parameters": recorded["parameters"],
        "outcome": recorded["outcome"],
        "stopped_at": recorded["stopped_at"],
        "steps": recorded["config"]["training"]["steps"],
        "eval_loss": loss,
        "eval_accuracy": final["eval_accuracy"],
        "perplexity": None if loss is None or final["eval_accuracy"] is not None else perplexity(loss),
        "eval_tokens": final["eval_tokens"],
        "unigram_loss": final["unigram_loss"],
    }


def _named(table: pl.DataFrame, name: str) -> pl.DataFrame:
    return table.select(pl.lit(name).alias("name"), pl.all())
