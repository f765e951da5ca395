"""Recipes: how long and at which rate a model is trained below the paper's scale.

A study names one (`recipe: long`). It says how many steps a run takes, and, row by row, the learning rate of the
architectures and optimisers that the row fits; of several rows that fit the last one counts. A run at its recipe counts
as its base's own; what a study sets on an axis wins over the recipe, and the recipe over the base.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, Strict

from nervelab.errors import NervelabError
from nervelab.study.config import Record
from nervelab.study.config.models import Activation, Placement
from nervelab.study.config.optimisers import Rate
from nervelab.study.config.record import Positive, Share
from nervelab.study.derive import Keys
from nervelab.study.siblings import EMBEDDING_STD, Embedding, embedding_std

if TYPE_CHECKING:
    from nervelab.study.params import Params

Uses = Literal["none", "rates", "all"]
"""What of the recipes a scale takes: nothing, as the sources say it all; the rates alone; or the steps too."""

STEPS, WARMUP = "training.steps", "training.warmup"
RATE, RATE_OF_THE_REST = "optimiser.lr", "optimiser.rest.lr"
"""The settings that a recipe decides."""

Listed = Field(min_length=1)


class Row(Record):
    """The rate of the runs that it fits: those whose setting is in each list that it states.

    `lr` is the optimiser's; `rest_lr` that of the AdamW beside Muon and Dion, by default the base's. `steps` replaces
    those of the recipe, `warmup` the share that the base has. With `embedding` scaled the embeddings of a sibling start
    larger than the paper's (see `nervelab.study.siblings`).
    """

    base: Annotated[tuple[str, ...], Strict(False), Listed] | None = None
    placement: Annotated[tuple[Placement, ...], Strict(False), Listed] | None = None
    activation: Annotated[tuple[Activation, ...], Strict(False), Listed] | None = None
    width_multiple: Annotated[tuple[Positive, ...], Strict(False), Listed] | None = None
    optimiser: Annotated[tuple[str, ...], Strict(False), Listed] | None = None
    lr: Rate
    rest_lr: Rate | None = None
    steps: Positive | None = None
    warmup: Share | None = None
    embedding: Embedding = "kept"

    def fits(self, run: dict[str, str | int | None]) -> bool:
        """Whether it is about a run: `base`, `placement`, `activation`, `width_multiple` and `optimiser`."""
        return all(getattr(self, key) is None or value in getattr(self, key) for key, value in run.items())


class Recipe(Record):
    """Steps, and rates row by row."""

    steps: Positive
    rates: Annotated[tuple[Row, ...], Strict(False), Listed]

    def row(self, run: dict[str, str | int | None]) -> int | None:
        """The number of the row that counts for a run, which is given as `Row.fits` takes it; None if none fits."""
        return max((number for number, row in enumerate(self.rates) if row.fits(run)), default=None)

    def decides(self, number: int, uses: Uses) -> dict[str, Any]:
        """What it sets of the runs of one of its rows, by dotted key."""
        row = self.rates[number]
        decided = {RATE: row.lr}
        if row.rest_lr is not None:
            decided[RATE_OF_THE_REST] = row.rest_lr
        if row.warmup is not None:
            decided[WARMUP] = row.warmup
        if uses == "all":
            decided[STEPS] = row.steps or self.steps
        return decided


def decided_by(recipe: Any, params: Params, place: Keys, axes: dict[str, Any], key: Keys) -> dict[str, Any]:
    """What a recipe decides of a run over the base at `place`, by dotted key; nothing where there is none.

    Args:
        recipe: its name, or None.
        params: what is asked for.
        place: of the base.
        axes: the values on the axes of the run, that of `optimiser` among them.
        key: where they are said.

    Raises:
        NervelabError: there is no such recipe, none of its rows fits, or it decides what a sibling states for itself.
    """
    if recipe is None:
        return {}
    if not isinstance(recipe, str) or recipe not in params.recipes:
        known = ", ".join(params.recipes) or "none"
        raise NervelabError(f"{params.where((*key, 'recipe'))}: there is no recipe {recipe!r} (there is {known}).")
    _, name, scale = place
    base, uses = params.bases[name][scale], params.scales[scale].recipes
    if uses == "none":
        return {}
    goes_by = ("placement", "activation", "width_multiple")
    model = {each: axes.get(f"model.{each}", getattr(base.model, each, None)) for each in goes_by}
    run = {"base": name, **model, "optimiser": axes["optimiser"]}
    rows = ("recipes", recipe, "rates")
    number = params.recipes[recipe].row(run)
    if number is None:
        named = ", ".join(f"{each} {value}" for each, value in run.items() if value is not None)
        raise NervelabError(f"{params.where(rows)}: no row is about {named}; add one with its lr.")
    decided = params.recipes[recipe].decides(number, uses)
    if RATE_OF_THE_REST in decided and not hasattr(base.optimisers[run["optimiser"]], "rest"):
        raise NervelabError(
            f"{params.where((*rows, number, 'rest_lr'))}: {run['optimiser']} trains every parameter itself; "
            "give it a row without this key."
        )
    if params.recipes[recipe].rates[number].embedding == "scaled":
        if base.sibling is None or base.model.family != "decoder":
            raise NervelabError(
                f"{params.where((*rows, number, 'embedding'))}: {name} is no sibling with embeddings; "
                "give it a row without this key."
            )
        decided[EMBEDDING_STD] = embedding_std(base.model, base.narrower, "scaled")
    if base.sibling is not None:
        _refuse_idle(decided, recipe, params, place, run["optimiser"])
    return decided


def recipes_of(recipe: str | None, params: Params, place: Keys) -> tuple[str, ...]:
    """The recipes that a run by `recipe` over the base at `place` is one of: all, where the scale takes none."""
    if recipe is None:
        return ()
    return tuple(params.recipes) if params.scales[place[-1]].recipes == "none" else (recipe,)


def _refuse_idle(decided: dict[str, Any], recipe: str, params: Params, place: Keys, optimiser: str) -> None:
    """What a sibling states for itself would be asked for and not be done, if a recipe decides it."""
    for setting in decided:
        section, *rest = setting.split(".")
        inner = ("optimisers", optimiser, *rest) if section == "optimiser" else (section, *rest)
        if not params.is_papers((*place, *inner)):
            raise NervelabError(
                f"{params.where((*place, *inner))}: the recipe {recipe!r} decides this; say it in recipes.{recipe}, "
                "or on an axis of the study."
            )
