"""The axes of a study, multiplied out over its base: one checked RunConfig for each point."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, get_args

from nervelab.errors import NervelabError
from nervelab.study.checked import checked
from nervelab.study.config import RunConfig
from nervelab.study.derive import Keys
from nervelab.study.params import Base, Params
from nervelab.study.recipes import decided_by, recipes_of
from nervelab.study.siblings import EMBEDDING_STD, Embedding, embedding_std

# The settings that every listing and table shows, beside the axes of the studies.
SHOWN = ("base", "dataset", "model.placement", "model.activation", "model.width_multiple", "optimiser", "seed")
SECTIONS = ("model", "training", "measure", "optimiser")
SEED = 0  # of a block without the axis `seed`
_SHOWN_AS = {"embedding": EMBEDDING_STD}
"""The setting that an axis decides which is none itself."""


@dataclass(frozen=True)
class Point:
    """One run that a study asks for.

    `values` holds the settings that are shown of any run, None where this one has none, `off_base` the keys of those
    that differ from the base's own value, or its recipe's. `recipes` are those that it is a run of: the one that its
    study names, or all of them where the scale takes none.
    """

    study: str
    dataset: str
    config: RunConfig
    values: dict[str, Any]
    off_base: tuple[str, ...]
    recipes: tuple[str, ...] = ()

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that it has."""
        return {key: value for key, value in self.values.items() if value is not None}

    @property
    def of_optimiser(self) -> dict[str, Any]:
        """The values of the settings of its optimiser."""
        return {key: value for key, value in self.values.items() if key.startswith("optimiser.")}


def expand(params: Params, scale: str, only: str | None = None) -> Iterator[Point]:
    """Every point of every study, in the order of the file; of those on request, of the one named `only`.

    Raises:
        NervelabError: a base lacks the scale, or an axis names no setting or gives it an impossible value.
    """
    axes_of_all = [
        _SHOWN_AS.get(axis, axis)
        for study in params.studies.values()
        for block in study.axes
        for axis in block
        if axis != "recipe"
    ]
    shown = tuple(dict.fromkeys((*SHOWN, *axes_of_all)))
    bases = _Bases(params, scale, shown)
    for name, study in params.studies.items():
        if study.on_request and name != only:
            continue
        for number, block in enumerate(study.axes):
            if params.scales[scale].seeds == "zero" and "seed" in block:
                block = block | {"seed": [seed for seed in block["seed"] if seed == SEED]}
            for values in itertools.product(*block.values()):
                axes = dict(zip(block, values, strict=True))
                resolver = bases.get(axes.pop("base", study.base), study=name)
                recipe = axes.pop("recipe", study.recipe)
                yield resolver.asked(name, recipe, axes, key=("studies", name, "axes", number))


class _Bases:
    """The bases at one scale, each resolved once."""

    def __init__(self, params: Params, scale: str, shown: tuple[str, ...]) -> None:
        self._params, self._scale, self._shown = params, scale, shown
        self._found: dict[str, Resolver] = {}

    def get(self, name: Any, study: str) -> Resolver:
        if not isinstance(name, str) or name not in self._params.bases:
            known = ", ".join(self._params.bases)
            raise NervelabError(
                f"{self._params.where(('studies', study))}: there is no base {name!r}; use one of {known}."
            )
        place = ("bases", name, self._scale)
        if self._scale not in self._params.bases[name]:
            raise NervelabError(f"{self._params.where(place)} is missing, but studies.{study} needs it; add it.")
        if name not in self._found:
            base = self._params.bases[name][self._scale]
            self._found[name] = Resolver(self._params, name, base, place, self._shown)
        return self._found[name]


@dataclass(frozen=True)
class Resolver:
    """Turns values on axes into checked configs over one base, which is called `name` and lies at `place`.

    `shown` are the settings that a point shows.
    """

    params: Params
    name: str
    base: Base
    place: Keys
    shown: tuple[str, ...]

    def standard(self, optimiser: str | None = None) -> Point:
        """The base itself, or with another of its optimisers."""
        if optimiser not in self._standards:
            axes = {} if optimiser is None else {"optimiser": optimiser}
            self._standards[optimiser] = self.point("", axes, key=self.place)
        return self._standards[optimiser]

    @cached_property
    def _standards(self) -> dict[str | None, Point]:
        return {}

    def asked(self, study: str, recipe: Any, axes: dict[str, Any], key: Keys) -> Point:
        """The point at some values of some axes, all else as the recipe and the base have it.

        Raises:
            NervelabError: they do not fit, or the recipe does not; the sentence names `key`, or the recipe's.
        """
        standard = self.standard()  # first, so that a mistake in a base is found there
        if "embedding" in axes:
            axes = {**axes, EMBEDDING_STD: self._embedding_std(axes["embedding"], key)}
            del axes["embedding"]
        optimiser = self._named(axes, key)["optimiser"]
        decided = decided_by(recipe, self.params, self.place, axes | {"optimiser": optimiser}, key)
        point = self.point(study, decided | axes, key)
        usual = standard.values | self.standard(optimiser).of_optimiser | decided
        off_base = tuple(axis for axis, value in point.values.items() if axis != "seed" and value != usual[axis])
        return replace(point, off_base=off_base, recipes=recipes_of(recipe, self.params, self.place))

    def _embedding_std(self, embedding: Any, key: Keys) -> float:
        if embedding not in get_args(Embedding) or self.base.model.family != "decoder":
            place = self.params.where((*key, "embedding"))
            raise NervelabError(f"{place}: should be kept or scaled, of a decoder, but is {embedding!r}.")
        return embedding_std(self.base.model, self.base.narrower, embedding)

    def point(self, study: str, axes: dict[str, Any], key: Keys) -> Point:
        """The point at some values of some axes.

        Raises:
            NervelabError: they do not fit; the sentence names `key`.
        """
        axes = {"seed": SEED, **axes}
        named = self._named(axes, key)
        content = {axis: None if name is None else _dump(self._among[axis][name]) for axis, name in named.items()}
        content |= {section: _dump(getattr(self.base, section)) for section in SECTIONS if section not in content}
        for axis, value in axes.items():
            if axis not in named and axis != "seed":
                self._set(content, axis, value, key)
        config = checked(RunConfig, content | {"seed": axes["seed"]}, self.params.where, prefix=key)
        values = _settings(content) | named | {"base": self.name, "seed": axes["seed"]}
        return Point(study, named["dataset"], config, {axis: values.get(axis) for axis in self.shown}, off_base=())

    @property
    def _among(self) -> dict[str, dict[str, Any]]:
        """What a setting by name names one of."""
        return {
            "dataset": self.params.datasets,
            "tokenizer": self.params.tokenizers,
            "optimiser": self.base.optimisers,
        }

    def _named(self, axes: dict[str, Any], key: Keys) -> dict[str, str | None]:
        """The settings by name, as the axes have them or else the base."""
        named = {axis: axes.get(axis, getattr(self.base, axis)) for axis in self._among}
        for axis, name in named.items():
            if name is None and axis == "tokenizer":
                continue
            if not isinstance(name, str) or name not in self._among[axis]:
                known = ", ".join(self._among[axis])
                raise NervelabError(
                    f"{self.params.where((*key, axis))}: {name!r} is not defined; define it or use one of {known}."
                )
        return named

    def _set(self, content: dict[str, Any], axis: str, value: Any, key: Keys) -> None:
        """Set a setting by its dotted name, in place."""
        allowed = _settings(content)
        if axis not in allowed:
            known = ", ".join(("base", "recipe", *self._among, *allowed))
            raise NervelabError(f"{self.params.where((*key, axis))}: there is no such setting; use one of {known}.")
        *sections, last = axis.split(".")
        for section in sections:
            content = content[section]
        content[last] = value


def _settings(content: dict[str, Any]) -> dict[str, Any]:
    """Every setting of the sections by its dotted name; those of an optimiser for the rest lie two levels deep."""
    found: dict[str, Any] = {}
    for section in SECTIONS:
        for field, value in content[section].items():
            found[f"{section}.{field}"] = value
            if isinstance(value, dict):
                found |= {f"{section}.{field}.{inner}": each for inner, each in value.items()}
    return found


def _dump(record: Any) -> dict[str, Any]:
    return record.model_dump(mode="json")
