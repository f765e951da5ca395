"""Runs gathered in memory whose spectra and losses are formulas, in which every claim of the paper holds.

A test that wants a claim reversed, or lost in noise, gives other formulas.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

from nervelab.aggregates.collect import no_probes
from nervelab.aggregates.find import Aggregates
from nervelab.files import digest
from nervelab.probefiles import COLUMNS, GAUSSIAN, SHUFFLED, TRAINED, UNTRAINED
from nervelab.study.decisions import Analysis
from tests.support.synthetic_runs import D_MODEL, LAYERS, config

SETTINGS = Analysis(window_start=0.15, confidence=0.95, bootstrap=400, seed=0)

ESTIMATORS = (
    "full",
    *(f"sampling-{share}" for share in ("0.05", "0.10", "0.25", "0.50")),
    "randsvd-1/6",
    "lanczos-1/6",
)
STEPS = (0, 50, 100, *range(150, 1000, 100), 1000)  # 5, 10 and 25 % among them
ARCHITECTURES = (
    *(("preln", each) for each in ("gelu", "relu", "geglu", "swiglu")),
    *(("none", each) for each in ("gelu", "relu", "learnable-leaky-relu")),
)
COMPENSATING = ("relu", "learnable-leaky-relu")
_USED = {
    **dict(zip(ARCHITECTURES, (0.40, 0.36, 0.38, 0.37, 0.20, 0.30, 0.28), strict=True)),
    ("mixln", "gelu"): 0.25,
    ("postln", "gelu"): 0.15,
}
"""PR_post / D after training, at D = 4d."""
_EXPONENT = {"mixln": -0.1, "postln": -0.6}
_WOBBLE = (1, -1, -1, 1, 1, -1, -1, 1)
_JS = {"inert": (0.004, 0.004, 0.05, 0.05), "compensating": (0.4, 0.1, 0.05, 0.05), "": (0.2, 0.05, 0.04, 0.03)}
"""JS of the first layer, and of the others of the first, second, third and last quarter of the depth."""


@dataclass(frozen=True)
class MadeUp:
    """The settings of a run, and how it ended; `drawn_as` is the run whose random numbers it has, by default itself."""

    placement: str = "preln"
    activation: str = "gelu"
    width_multiple: int = 4
    seed: int = 0
    outcome: str = "finished"
    steps: tuple[int, ...] = STEPS
    drawn_as: str = ""
    estimators: tuple[str, ...] = ("full",)
    layers: int = LAYERS

    @property
    def name(self) -> str:
        return f"decoder-{self.placement}-{self.activation}-{self.width_multiple}d-adamw-s{self.seed}-{self.id}"

    @property
    def id(self) -> str:
        return digest([self.placement, self.activation, self.width_multiple, self.seed, *self.estimators[1:]])[:10]

    @property
    def width(self) -> int:
        return self.width_multiple * D_MODEL

    @property
    def kind(self) -> str:
        """Empty for a run that neither compensates for the absent norm nor is inert without it."""
        if self.placement != "none":
            return ""
        return "compensating" if self.activation in COMPENSATING else "inert"

    def draw(self, *words: str, size: tuple[int, ...] = ()) -> np.ndarray:
        """Normal numbers that depend on nothing but this run's settings and the words."""
        seed = int(digest([self.drawn_as or self.id, *words])[:8], 16)
        return np.random.default_rng(seed).standard_normal(size)


Spectrum = Callable[[MadeUp, np.ndarray, np.ndarray], dict[str, np.ndarray]]
"""Metrics by the share of the training, shape [S, 1], and the layer from 0, shape [L]."""
Loss = Callable[[MadeUp], float]
Null = Callable[[MadeUp, str], dict[str, np.ndarray]]
"""Metrics by layer, shape [L], of the activations that a probe holds a trained network against."""
Estimate = Callable[[MadeUp, str, dict[str, np.ndarray]], dict[str, np.ndarray]]
"""Metrics under an estimator, from the run, the estimator's name and the metrics of the full spectrum."""


def paper_spectrum(run: MadeUp, share_S1: np.ndarray, layer_L: np.ndarray) -> dict[str, np.ndarray]:
    """Spectra in which the claims hold, with a ripple over steps and a small spread over seeds."""
    rest = 1 - share_S1
    layers, early = len(layer_L), layer_L < len(layer_L) / 2
    profile_L = 2 * layer_L / (layers - 1) - 1
    wobble = _WOBBLE[run.width_multiple - 1]
    spread_L = 1 + (0.5 if run.placement == "mixln" else 0.1) * math.exp(0.03 * run.draw("spread")) * profile_L
    shape = (len(share_S1), layers)
    pr_post = dimensions(run) * math.exp(0.01 * run.draw("pr")) * (1 - 0.6 * rest**1.5) * spread_L
    pr_pre = {
        "": dimensions(run) / 2 * (1 - 0.6 * rest**1.8) * spread_L,
        "inert": pr_post / np.where(early, 1.02, 1.5) * math.exp(0.005 * run.draw("gain")),
        "compensating": (10 + wobble) * (1 - 0.6 * rest**1.8) * (1 + 0.1 * profile_L),
    }[run.kind]
    wide = 0.3 * math.log(run.width_multiple) + 0.02 * run.draw("se")
    level = 0.05 * wobble if run.kind == "compensating" else wide
    eee_pre, eee_post = {
        "": (0.9 + 0 * layer_L, 0.8 + 0 * layer_L),
        "inert": (np.where(early, 0.985, 0.9), np.where(early, 0.98, 0.8)),
        "compensating": (0.8 + 0 * layer_L, 0.4 + 0 * layer_L),
    }[run.kind]
    metrics = {
        "se_pre": 2 + level - 0.5 * rest**1.8 + 0.05 * profile_L,
        "se_post": 2.6 + wide - 0.6 * rest ** settling_speed(run) + 0.05 * profile_L,
        "pr_pre": pr_pre,
        "pr_post": pr_post,
        "eee_pre": eee_pre + 0.01 * rest + 0.001 * run.draw("eee"),
        "eee_post": eee_post + 0.01 * rest + 0.001 * run.draw("eee"),
        "js": js_of(run.kind, layers) * (0.5 + 0.5 * share_S1) * np.exp(0.02 * run.draw("js", size=(layers,))),
    }
    return {name: values * (1 + 0.001 * run.draw(name, size=shape)) for name, values in metrics.items()}


def js_of(kind: str, layers: int) -> np.ndarray:
    """JS by layer after training, shape [L]: the first layer apart, the others by the quarter that they lie in."""
    quarter_L = np.arange(layers) * 4 // layers
    quarter_L[1:] = np.maximum(quarter_L[1:], 1)
    return np.array(_JS[kind])[quarter_L]


def dimensions(run: MadeUp) -> float:
    """PR_post after training, before what a seed adds."""
    used = _USED[run.placement, run.activation] * (run.width_multiple / 4) ** _EXPONENT.get(run.placement, 0)
    return used * run.width


def settling_speed(run: MadeUp) -> float:
    """How fast SE_post comes near its final value."""
    return 12 if run.activation == "relu" else 4


def paper_estimate(run: MadeUp, estimator: str, known: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Samples are nearly right, but turn SE and PR after the nonlinearity about their mean; low rank misses half."""
    if not estimator.startswith("sampling"):
        return {name: values / 2 for name, values in known.items()}
    near = {name: values * (1 + 0.002 * run.draw(estimator, name, size=values.shape)) for name, values in known.items()}
    return near | {name: 2 * near[name].mean(axis=0) - near[name] for name in ("se_post", "pr_post")}


def paper_null(run: MadeUp, activations: str) -> dict[str, np.ndarray]:
    """Untrained networks, Gaussians and shuffled components: alike in every model, PR falling in the first layer."""
    layer_L = np.arange(run.layers)
    pr_post = 0.1 * run.width * (1 + 0.05 * (layer_L % 2)) * math.exp(0.01 * run.draw("null", activations))
    return {
        "se_pre": 2 + 0 * layer_L,
        "se_post": 2.1 + 0 * layer_L,
        "pr_pre": pr_post / np.where(layer_L == 0, 0.9, 1.2),
        "pr_post": pr_post,
        "eee_pre": 0.85 + 0 * layer_L,
        "eee_post": 0.83 + 0 * layer_L,
        "js": 0.05 + 0 * layer_L,
    }


def paper_loss(run: MadeUp) -> float:
    """The final eval loss: the lower, the more dimensions are used."""
    return 5 - 0.3 * math.log(dimensions(run)) + 0.003 * float(run.draw("loss"))


def whole_study() -> tuple[MadeUp, ...]:
    """Every architecture and placement at every width, and at 4d on three seeds."""
    models = (*ARCHITECTURES, ("mixln", "gelu"), ("postln", "gelu"))
    first = [MadeUp(*model, width) for model in models for width in range(1, 9)]
    return (*first, *(MadeUp(*model, seed=seed) for model in models for seed in (1, 2)))


def with_estimators() -> tuple[MadeUp, ...]:
    """The whole study, and PreLN GELU measured by several estimators."""
    return (*whole_study(), MadeUp(estimators=ESTIMATORS))


def at_4d(*models: tuple[str, str], seeds: Iterable[int] = (0, 1, 2)) -> tuple[MadeUp, ...]:
    """Models by placement and activation, at D = 4d, on these seeds."""
    return tuple(MadeUp(*model, seed=seed) for model in models for seed in seeds)


def gathered(
    runs: Iterable[MadeUp] | None = None,
    spectrum: Spectrum = paper_spectrum,
    loss: Loss = paper_loss,
    estimate: Estimate = paper_estimate,
    *,
    scale: str = "laptop",
    null: Null | None = None,
    settings: Analysis = SETTINGS,
) -> Aggregates:
    """What `Aggregates.read` would give for these runs, by default those of the whole study."""
    runs = tuple(whole_study() if runs is None else runs)
    return Aggregates(
        runs=pl.DataFrame([_row(run, loss(run), scale) for run in runs], schema_overrides=_TYPES),
        spectra=pl.concat([_spectra(run, spectrum, estimate, each) for run in runs for each in run.estimators]),
        history=pl.concat([_history(run, loss(run)) for run in runs]),
        settings=settings,
        probes=None if null is None else _probes(runs, spectrum, null),
    )


def saved(aggregates: Aggregates, folder: Path) -> Path:
    """The folder with the aggregates as `analyse` and `render` read them."""
    folder.mkdir(parents=True)
    aggregates.runs.write_parquet(folder / "runs.parquet")
    aggregates.spectra.write_parquet(folder / "spectra.parquet")
    aggregates.history.write_parquet(folder / "history.parquet")
    (no_probes() if aggregates.probes is None else aggregates.probes).write_parquet(folder / "probes.parquet")
    seconds = aggregates.history.select("name", "step", train_seconds=0.01 * pl.col("step"), measure_seconds=1.0)
    seconds.write_parquet(folder / "timing.parquet")
    keys = aggregates.spectra.select("name", "step", "estimator").unique(maintain_order=True)
    keys.with_columns(moments_seconds=0.04, solve_seconds=0.01).write_parquet(folder / "estimators.parquet")
    return folder


def behaving(as_others: dict[tuple[str, str], tuple[str, str]]) -> tuple[Spectrum, Loss]:
    """Formulas by which some models are what others are in the paper; what a seed adds stays their own."""

    def other(run: MadeUp) -> MadeUp:
        placement, activation = as_others.get((run.placement, run.activation), (run.placement, run.activation))
        return replace(run, placement=placement, activation=activation, drawn_as=run.id)

    return lambda run, share, layer: paper_spectrum(other(run), share, layer), lambda run: paper_loss(other(run))


_TYPES = {
    "eval_loss": pl.Float64,
    "eval_accuracy": pl.Float64,
    "off_base": pl.List(pl.String),
    "recipes": pl.List(pl.String),
    "measure_estimators": pl.List(pl.String),
}


def _ended(run: MadeUp) -> tuple[int, ...]:
    return run.steps if run.outcome == "finished" else run.steps[: len(run.steps) // 2]


def _row(run: MadeUp, loss: float, scale: str) -> dict:
    diverged = run.outcome == "diverged"
    return {
        "scale": scale,
        "name": run.name,
        "id": run.id,
        "studies": ["made-up"],
        "activation": run.activation,
        "base": "gpt2-codeparrot",
        "dataset": "python-packages",
        "optimiser": "adamw",
        "placement": run.placement,
        "seed": run.seed,
        "width_multiple": run.width_multiple,
        "measure_estimators": list(run.estimators) if len(run.estimators) > 1 else None,
        "off_base": ["measure_estimators"] if len(run.estimators) > 1 else [],
        "recipes": ["long", "short"],
        "config": json.dumps(config(run)),
        "parameters": 237_000,
        "outcome": run.outcome,
        "stopped_at": _ended(run)[-1],
        "steps": STEPS[-1],
        "eval_loss": None if diverged else loss,
        "eval_accuracy": None,
        "perplexity": None if diverged else math.exp(loss),
        "eval_tokens": 65_536,
        "unigram_loss": 5.35,
    }


def _spectra(run: MadeUp, spectrum: Spectrum, estimate: Estimate, estimator: str) -> pl.DataFrame:
    steps, layer_L = np.array(_ended(run)), np.arange(run.layers)
    metrics = spectrum(run, (steps / STEPS[-1])[:, None], layer_L)
    if estimator != "full":
        metrics = estimate(run, estimator, {name: values + np.zeros(run.layers) for name, values in metrics.items()})
    metrics |= {
        "pr_gain": metrics["pr_post"] / metrics["pr_pre"],
        "delta_eee": metrics["eee_post"] - metrics["eee_pre"],
    }
    shape = (len(steps), run.layers)
    columns = {name: np.broadcast_to(values, shape).ravel() for name, values in metrics.items()}
    where = {"step": np.repeat(steps, run.layers), "layer": np.tile(layer_L, len(steps))}
    known = {"group": pl.lit("all"), "estimator": pl.lit(estimator), "name": pl.lit(run.name)}
    return pl.DataFrame(where | columns).with_columns(**known).select("name", pl.exclude("name"))


def _probes(runs: Iterable[MadeUp], spectrum: Spectrum, null: Null) -> pl.DataFrame:
    """What a probe of the finished runs would find: of the trained network the metrics of its last step."""
    parts = []
    for run in runs:
        if run.outcome != "finished" or len(run.estimators) > 1:
            continue
        steps = np.array(run.steps)
        metrics = spectrum(run, (steps / STEPS[-1])[:, None], np.arange(run.layers))
        trained = {name: (values + np.zeros((len(steps), run.layers)))[-1] for name, values in metrics.items()}
        parts.append(_probe(run, TRAINED, 0, trained))
        for activations in (UNTRAINED, GAUSSIAN, SHUFFLED):
            draws = 1 if activations == UNTRAINED else 2
            parts += [_probe(run, activations, draw, null(run, activations)) for draw in range(draws)]
    return pl.concat(parts)


def _probe(run: MadeUp, activations: str, draw: int, metrics: dict[str, np.ndarray]) -> pl.DataFrame:
    share = metrics["eee_pre"] / 2
    others = {f"unbiased_pr_{site}": metrics[f"pr_{site}"] for site in ("pre", "post")}
    others |= {f"first_share_{site}": share for site in ("pre", "post")}
    others |= {"active_share": 0.5 + 0 * share, "pre_activation_scale": 0.5 + 0 * share}
    columns = {name: np.asarray((metrics | others)[name], dtype=float) for name in COLUMNS}
    known = {"name": pl.lit(run.name), "activations": pl.lit(activations), "draw": pl.lit(draw)}
    layers = pl.DataFrame({"layer": np.arange(run.layers)} | columns)
    return layers.select(*(each.alias(name) for name, each in known.items()), pl.all())


def _history(run: MadeUp, loss: float) -> pl.DataFrame:
    steps = np.array(_ended(run))
    return pl.DataFrame({"step": steps, "eval_loss": loss + 2 * (1 - steps / STEPS[-1]) ** 2}).select(
        pl.lit(run.name).alias("name"), pl.all()
    )
