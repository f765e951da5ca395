"""Which kept runs have the settings of a wanted one, though other code made them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from nervelab import layout
from nervelab.files import canonical_json, read_json
from nervelab.runfiles import ENVIRONMENT, HISTORY, whole_run
from nervelab.study.config import RunConfig
from nervelab.study.config.record import AS_BEFORE, Record
from nervelab.study.runs import Run, run_id


@dataclass(frozen=True)
class Kept:
    """A whole run on disk: its folder, its run.json, its environment.json.

    `added` holds the settings that were not there when it was trained, with the values that mean the same.
    """

    folder: Path
    recorded: dict[str, Any]
    environment: dict[str, Any]
    added: dict[str, Any]

    @property
    def has_steps(self) -> bool:
        """Whether its history has the rate and the batch of every step."""
        import polars as pl  # here, as who only asks what is kept need not wait for it

        return {"rates", "batches"} <= pl.read_parquet_schema(self.folder / HISTORY).keys()

    @property
    def name(self) -> str:
        """The name it was trained under, or adopted under last."""
        return self.recorded["name"]


def kept_for(wanted: Iterable[Run], scale: str) -> dict[str, list[Kept]]:
    """The kept runs with the settings of each wanted run, by the name of the wanted run, in the order of their names.

    A kept run whose files are not what its run.json says is left out, as is one whose id is not that of what it says,
    and one whose settings can no longer be read.
    """
    names = {canonical_json(run.config.model_dump(mode="json")): run.name for run in wanted}
    found: dict[str, list[Kept]] = {name: [] for name in names.values()}
    for folder in sorted((layout.RUNS / scale).glob("*")):
        recorded = whole_run(folder)
        if recorded is None or not _is_itself(recorded) or recorded["name"] in found:
            continue
        completed = as_today(recorded["config"])
        if completed is None:
            continue
        config, added = completed
        name = names.get(canonical_json(config))
        if name is not None:
            environment = read_json(folder / ENVIRONMENT, "delete the folder.")
            found[name].append(Kept(folder, recorded, environment, added))
    return found


def _is_itself(recorded: dict[str, Any]) -> bool:
    """Whether a run has the id that follows from what its run.json says of it."""
    try:
        id = run_id(recorded["config"], recorded["inputs"], recorded["fingerprint"])
        return recorded["id"] == id and recorded["name"].endswith(f"-{id}")
    except (KeyError, AttributeError):
        return False


def as_today(config: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """A kept configuration with the keys that it lacks, and those keys with their values.

    None where it cannot be read today, or lacks a key whose default is not declared to mean what was done before.
    """
    try:
        record = RunConfig.model_validate(config)
    except ValidationError:
        return None
    lacking = list(_lacking(record, config))
    if not all(declared for _, _, declared in lacking):
        return None
    return record.model_dump(mode="json"), {key: value for key, value, _ in lacking}


def _lacking(record: Record, given: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any, bool]]:
    """The keys that are not given, each with its default and whether that is declared to mean the same."""
    dumped = record.model_dump(mode="json")
    for name, field in type(record).model_fields.items():
        value, key = getattr(record, name), f"{prefix}{name}"
        if name not in given:
            yield key, dumped[name], AS_BEFORE in field.metadata
        elif isinstance(value, Record):
            yield from _lacking(value, given[name], f"{key}.")
        elif isinstance(value, tuple):
            for number, (each, its) in enumerate(zip(value, given[name], strict=True)):
                if isinstance(each, Record):
                    yield from _lacking(each, its, f"{key}.{number}.")


def components(run: Run) -> set[str]:
    """What a short replay of a run shows: every setting by name, and of every number whether it is zero."""
    config = run.config.model_dump(mode="json")
    parts = {key: config[key] for key in ("model", "training", "measure", "optimiser")}
    modality = {"modality": config["dataset"]["modality"], "tokenizer": (config["tokenizer"] or {}).get("kind")}
    return set(_shown(parts | modality))


def _shown(content: Any, key: str = "") -> Iterator[str]:
    if isinstance(content, dict):
        for name, value in content.items():
            yield from _shown(value, f"{key}.{name}" if key else name)
    elif isinstance(content, list):
        for value in content:
            yield from _shown(value, key)
    elif isinstance(content, int | float) and not isinstance(content, bool):
        yield f"{key} {'0' if content == 0 else 'not 0'}"
    else:
        yield f"{key} {content}"
