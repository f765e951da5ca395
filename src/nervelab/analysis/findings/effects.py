"""Effects on the quantities that runs are compared by: of one model, or between two, over all of their seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict

import numpy as np

from nervelab.aggregates.find import Aggregates
from nervelab.aggregates.run import Run, names
from nervelab.analysis.compare import Noise, contrast, level, seed_noise
from nervelab.analysis.findings.finding import Claim, Effect
from nervelab.analysis.quantities import Quantity
from nervelab.paper.architectures import Model
from nervelab.words.labels import NOT_RUN
from nervelab.words.runs import named, outcome

Layers = Callable[[Run], np.ndarray]

SEED_NOISE = (
    "Intervals: the mean over the seeds of a run (of their logarithms for a ratio), give or take Student's t times its "
    "spread. That of a model is had from its own seeds and from what those of other models say of it, that of two "
    "models on the same seeds and batches from their differences seed by seed (table Seed noise)."
)
"""How intervals between runs are made, for the rules that use them."""


def assumed(noise: Noise | None) -> str:
    """What belongs to an effect whose interval rests on the noise of another scale; empty if it does not."""
    return f"noise assumed: that of the {noise.assumed_from} scale" if noise and noise.assumed_from else ""


def of_model(
    aggregates: Aggregates,
    model: Model,
    quantity: Quantity,
    claim: Claim | None,
    layers: Layers | None = None,
) -> Effect:
    """A quantity of one model, averaged over its seeds; `layers` gives it layer by layer."""
    runs = aggregates.find_seeds(**model)
    state = outcome(runs)
    known = {"of": named(model), "quantity": quantity.name, "claim": claim, "unit": quantity.unit, "state": state}
    if state != "finished":
        return Effect(**known, runs=names(runs))
    noise = seed_noise(aggregates, quantity, model.get("recipe"))
    estimate = level(runs, quantity, noise)
    values = [quantity.of(run) for run in runs]
    by_layer = finite_mean([layers(run) for run in runs]) if layers else ()
    return Effect(
        **known,
        **asdict(estimate),
        by_seed=_all(values),
        by_layer=by_layer,
        runs=names(runs),
        note=assumed(noise),
        assumed_from=noise.assumed_from if noise else "",
    )


def between_models(
    aggregates: Aggregates, model: Model, other: Model, quantity: Quantity, claim: Claim | None
) -> Effect:
    """`model` less `other` (or over it, if the quantity is compared by ratios), averaged over their seeds.

    Raises:
        ValueError: the two are of different recipes: a defect.
    """
    if model.get("recipe") != other.get("recipe"):
        raise ValueError(f"{model} and {other} are trained by different recipes")
    runs, others = aggregates.find_seeds(**model), aggregates.find_seeds(**other)
    states = {outcome(each) for each in (runs, others)} - {"finished"}
    sign = "/" if quantity.by_ratio else "−"
    known = {
        "of": f"{named(model)} {sign} {named(other)}",
        "quantity": quantity.name,
        "claim": claim,
        "unit": "" if quantity.by_ratio else quantity.unit,
        "state": NOT_RUN if NOT_RUN in states else "; ".join(sorted(states)) or "finished",
    }
    of_both = names((*runs, *others))
    if states:
        return Effect(**known, runs=of_both)
    noise = seed_noise(aggregates, quantity, model.get("recipe"))
    estimate = contrast(runs, others, quantity, noise)
    by_seed = {run.row["seed"]: run for run in others}
    pairs = [(run, by_seed[run.row["seed"]]) for run in runs if run.row["seed"] in by_seed]
    values = [_difference(run, against, quantity) for run, against in pairs]
    known |= {"note": assumed(noise), "assumed_from": noise.assumed_from if noise else ""}
    return Effect(**known, **asdict(estimate), by_seed=_all(values), runs=of_both)


def finite_mean(values_L: Sequence[np.ndarray]) -> tuple[float, ...]:
    """The mean over runs, layer by layer; nothing where a cell was not measured."""
    mean_L = np.mean(values_L, axis=0)
    return tuple(mean_L.tolist()) if np.isfinite(mean_L).all() else ()


def _difference(run: Run, against: Run, quantity: Quantity) -> float | None:
    first, second = quantity.of(run), quantity.of(against)
    if first is None or second is None:
        return None
    return first / second if quantity.by_ratio else first - second


def _all(values: Sequence[float | None]) -> tuple[float, ...]:
    """The values seed by seed; nothing where there is one seed only."""
    known = tuple(value for value in values if value is not None)
    return known if len(known) > 1 else ()
