"""Run folders whose spectra are written down instead of trained, so that verdicts are known beforehand."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import polars as pl

from nervelab.files import digest, sha256, write_json

STEPS = (0, 20, *(round(1000 * k / 14) for k in range(1, 15)))
LAYERS = 4
D_MODEL = 64


@dataclass(frozen=True)
class Planted:
    """One run: its settings, what the nonlinearity does in it, and how it ended.

    `shift` is added to the pre-activation metric in every cell, in the layers `reversed_layers` subtracted; `noise` is
    the standard deviation of a disturbance of the post-activation one, in units of the default shift.
    """

    placement: str = "preln"
    activation: str = "gelu"
    eval_loss: float = 3.4
    shift: dict[str, float] = field(default_factory=lambda: dict(SHIFT))
    noise: float = 0.05
    reversed_layers: tuple[int, ...] = ()
    outcome: str = "finished"
    steps: tuple[int, ...] = STEPS
    seed: int = 0
    width_multiple: int = 4
    off_base: tuple[tuple[str, object], ...] = ()

    @property
    def name(self) -> str:
        return f"decoder-{self.placement}-{self.activation}-{self.width_multiple}d-adamw-s{self.seed}-{self.id}"

    @property
    def id(self) -> str:
        return digest([self.placement, self.activation, self.width_multiple, self.seed, self.off_base])[:10]


SHIFT = {"se": 0.6, "pr": 6.0, "eee": -0.05}
LAPTOP = (
    Planted(eval_loss=3.38),
    Planted(activation="relu", eval_loss=3.29),
    Planted(activation="geglu", eval_loss=3.35),
    Planted(activation="swiglu", eval_loss=3.36),
    Planted(placement="none", eval_loss=3.61),
    Planted(placement="none", activation="relu", eval_loss=3.52),
    Planted(placement="none", activation="learnable-leaky-relu", eval_loss=3.55),
)


def over_seeds(*runs: Planted, by: float = 0.004) -> tuple[Planted, ...]:
    """Each run on three seeds, whose eval losses lie `by` apart and have the run's own as their mean."""
    return tuple(
        replace(run, seed=seed, eval_loss=run.eval_loss + by * (seed - 1)) for run in runs for seed in range(3)
    )


SEEDED = over_seeds(*LAPTOP)


def write_study(root: Path, runs: tuple[Planted, ...] = LAPTOP, *, scale: str = "laptop") -> tuple[Path, Path]:
    """Write run folders and runs.json; the paths of runs.json and of the folder of all scales."""
    for run in runs:
        write_run(root / "runs" / scale / run.name, run)
    listing = {
        "scale": scale,
        "runs": [_listed(run) for run in runs],
        "data": {
            "python-packages": {
                "corpus": {
                    "stands_for": "CodeParrot",
                    "licences": {"sympy==1.14.0": "BSD-3-Clause", "sqlalchemy==2.1.9": "MIT"},
                    "bytes": {"train": 10_800_000, "validation": 960_000, "test": 240_000},
                },
                "tokens": {"vocabulary": 512, "tokens": {"train": 5_000_000, "validation": 250_000}},
            }
        },
    }
    write_json(root / "results" / "runs.json", listing)
    return root / "results" / "runs.json", root / "runs"


def _listed(run: Planted) -> dict:
    settings = {
        "base": "gpt2-codeparrot",
        "dataset": "python-packages",
        "model.placement": run.placement,
        "model.activation": run.activation,
        "model.width_multiple": run.width_multiple,
        "optimiser": "adamw",
        "seed": run.seed,
    } | dict(run.off_base)
    slug = run.name.removesuffix(f"-{run.id}")
    listed = {"name": run.name, "id": run.id, "slug": slug, "studies": ["activation"], "settings": settings}
    listed["recipes"] = ["long", "short"]
    return listed | ({"off_base": [key for key, _ in run.off_base]} if run.off_base else {})


def config(run: Planted) -> dict:
    """A RunConfig at laptop scale."""
    return {
        "dataset": {"stands_for": "CodeParrot"},
        "tokenizer": {"kind": "byte-level-bpe", "vocabulary": 512},
        "model": {
            "family": "decoder",
            "placement": run.placement,
            "activation": run.activation,
            "d_model": D_MODEL,
            "layers": LAYERS,
            "heads": 4,
            "context": 64,
            "width_multiple": run.width_multiple,
            "final_norm": "layernorm",
            "ffn_weights": "free",
            "positions": "learned",
            "biases": ["query-key"],
            "embedding_dropout": 0.0,
        },
        "training": {
            "steps": 1000,
            "batch": 8,
            "warmup": 0.2,
            "decay": "cosine",
            "decay_share": 1.0,
            "final_lr": 0.1,
            "clip": 1.0,
            "precision": "float32",
            "eval_tokens": 65_536,
            "windows": "crops",
        },
        "optimiser": {"name": "adamw", "lr": 3e-3, "betas": [0.9, 0.95], "weight_decay": 0.1},
        "measure": {
            "source": "probe",
            "tokens": 4096,
            "early": [0, 20],
            "points": 14,
            "every": None,
            "by_position": False,
            "estimators": list(getattr(run, "estimators", ("full",))),
            "mode": "eval",
        },
        "seed": run.seed,
    }


def write_run(folder: Path, run: Planted) -> None:
    folder.mkdir(parents=True)
    steps = run.steps if run.outcome == "finished" else run.steps[: len(run.steps) // 2]
    _spectra(run, steps).write_parquet(folder / "spectra.parquet")
    loss = [run.eval_loss + 2.2 * (1 - step / 1000) ** 2 for step in steps]
    pl.DataFrame(
        {
            "step": steps,
            "train_loss": [None, *loss[1:]],
            "eval_loss": loss,
            "lr": [0.003] * len(steps),
            "gradient_norm": [1.0] * len(steps),
            "tokens": [512 * step for step in steps],
        }
    ).write_parquet(folder / "history.parquet")
    pl.DataFrame(
        {
            "step": steps,
            "train_seconds": [0.013 * step for step in steps],
            "measure_seconds": [0.05 * (k + 1) for k in range(len(steps))],
        }
    ).write_parquet(folder / "timing.parquet")
    pl.DataFrame(
        {"step": steps, "estimator": "full", "moments_seconds": 0.04, "solve_seconds": 0.01},
        schema_overrides={"step": pl.Int64},
    ).write_parquet(folder / "estimators.parquet")
    environment = {"torch": "2.9.0", "cuda": None, "device": "a processor", "threads": 1, "git_commit": "c0ffee"}
    write_json(folder / "environment.json", environment)
    recorded = {
        "name": run.name,
        "id": run.id,
        "config": config(run),
        "parameters": 237_000,
        "outcome": run.outcome,
        "stopped_at": steps[-1],
        "final": {
            "eval_loss": None if run.outcome == "diverged" else run.eval_loss,
            "eval_accuracy": None,
            "eval_tokens": 65_536,
            "unigram_loss": 5.35,
        },
        "files": {file: sha256(folder / file) for file in ("spectra.parquet", "history.parquet")},
    }
    (folder / "run.json").write_text(json.dumps(recorded))


def _spectra(run: Planted, steps: tuple[int, ...]) -> pl.DataFrame:
    random = np.random.default_rng(run.seed)
    rows = []
    for step in steps:
        share = step / 1000
        for layer in range(LAYERS):
            pre = {"se": 2.2 + 0.6 * share, "pr": 6 + 6 * share, "eee": 0.96 - 0.02 * share}
            row = {"step": step, "layer": layer, "group": "all", "estimator": "full"}
            for metric, shift in SHIFT.items():
                value = pre[metric] * (1 + 0.02 * layer * (metric != "eee"))
                direction = -1 if layer in run.reversed_layers else 1
                disturbance = run.noise * abs(shift) * random.standard_normal()
                row |= {f"{metric}_pre": value, f"{metric}_post": value + direction * run.shift[metric] + disturbance}
            row["js"] = 0.08 * np.exp(-((layer - 1) ** 2)) * (0.3 + share)
            row["pr_gain"] = row["pr_post"] / row["pr_pre"]
            row["delta_eee"] = row["eee_post"] - row["eee_pre"]
            rows.append(row | {"n_tokens": 4096, "width": run.width_multiple * D_MODEL})
    return pl.DataFrame(rows)
