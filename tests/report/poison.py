"""What a single run may leave that no other run has: each done to one planted run on disk."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import polars as pl

from nervelab.files import sha256
from tests.support.synthetic_runs import Planted

METRICS = ("se_pre", "se_post", "pr_pre", "pr_post", "eee_pre", "eee_post", "js", "pr_gain", "delta_eee")


def poison(folder: Path, how: str) -> None:
    """Do `how`, one of `POISONS`, to the run in a folder; its run.json vouches for what it then holds."""
    POISONS[how](folder)
    recorded = json.loads((folder / "run.json").read_text())
    recorded["files"] = {file: sha256(folder / file) for file in recorded["files"]}
    (folder / "run.json").write_text(json.dumps(recorded))


def _recorded(folder: Path, **changes: object) -> None:
    path = folder / "run.json"
    content = json.loads(path.read_text())
    content["final"] |= {key: value for key, value in changes.items() if key in content["final"]}
    path.write_text(json.dumps(content | {key: value for key, value in changes.items() if key not in content["final"]}))


def _table(folder: Path, name: str, change: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
    path = folder / f"{name}.parquet"
    change(pl.read_parquet(path)).write_parquet(path)


def _loss(value: float) -> Callable[[Path], None]:
    """The last losses of a run that got stuck far up."""

    def change(folder: Path) -> None:
        loss = pl.when(pl.col("step") > 500).then(pl.lit(value)).otherwise(pl.col("eval_loss")).alias("eval_loss")
        _table(folder, "history", lambda frame: frame.with_columns(loss))
        _recorded(folder, outcome="stuck", eval_loss=value)

    return change


def _finished_with(value: float) -> Callable[[Path], None]:
    """A finished run whose loss is beyond exp, so that nothing downstream may take its word for being usual."""
    return lambda folder: (_loss(value)(folder), _recorded(folder, outcome="finished"))


def _measured_losses(value: float) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        _table(folder, "history", lambda frame: frame.with_columns(eval_loss=pl.lit(value)))

    return change


def _spectra(value: float) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        _table(folder, "spectra", lambda frame: frame.with_columns(pl.lit(value).alias(name) for name in METRICS))

    return change


def _one_step(folder: Path) -> None:
    for name in ("spectra", "history", "timing", "estimators"):
        _table(folder, name, lambda frame: frame.filter(pl.col("step") == frame["step"].max()))


def _diverged_at_once(folder: Path) -> None:
    for name in ("spectra", "history", "timing", "estimators"):
        _table(folder, name, lambda frame: frame.clear())
    _recorded(folder, outcome="diverged", stopped_at=0, eval_loss=None)


def _absurd_rate(folder: Path) -> None:
    content = json.loads((folder / "run.json").read_text())
    content["config"]["optimiser"]["lr"] = 1e30
    (folder / "run.json").write_text(json.dumps(content))
    _diverged_at_once(folder)


POISONS: dict[str, Callable[[Path], None]] = {
    "a loss beyond exp": _loss(710.0),
    "a huge loss": _loss(1e300),
    "a finished run with a huge loss": _finished_with(1e300),
    "measured losses that are infinite": _measured_losses(math.inf),
    "measured losses that are NaN": _measured_losses(math.nan),
    "spectra that are all NaN": _spectra(math.nan),
    "spectra that are all zero": _spectra(0.0),
    "spectra that are infinite": _spectra(math.inf),
    "spectra that are huge": _spectra(1e300),
    "one measured step": _one_step,
    "diverged before anything was measured": _diverged_at_once,
    "a learning rate of 1e30": _absurd_rate,
}

SHOWN = {
    "a loss beyond exp": "stuck at step 1000",
    "a huge loss": "stuck at step 1000",
    "diverged before anything was measured": "diverged at step 0",
    "a learning rate of 1e30": "diverged at step 0",
}
"""How the page says the run ended; the others finished."""


def folder_of(root: Path, run: Planted, scale: str = "laptop") -> Path:
    """Where a planted run lies below the folder that `write_study` was given."""
    return root / "runs" / scale / run.name
