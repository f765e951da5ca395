"""The axes of a study, multiplied out over its base: one checked RunConfig for each point."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from nervelab.errors import NervelabError
from nervelab.study.checked import checked
from nervelab.study.config import RunConfig
from nervelab.study.derive import Keys
from nervelab.study.params import Base, Params

# The settings that every listing and table shows, beside the axes of the studies.
SHOWN = ("base", "dataset", "model.placement", "model.activation", "model.width_multiple", "optimiser", "seed")
SECTIONS = ("model", "training", "measure", "optimiser")
SEED = 0  # of a block without the axis `seed`


@dataclass(frozen=True)
class Point:
    """One run that a study asks for.

    `values` holds the settings that are shown of any run, None where this one has none, `off_base` the keys of those
    that differ from the base's own value.
    """

    study: str
    dataset: str
    config: RunConfig
    values: dict[str, Any]
    off_base: tuple[str, ...]

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that it has."""
        return {key: value for key, value in self.values.items() if value is not None}


def expand(params: Params, scale: str, only: str | None = None) -> Iterator[Point]:
    """Every point of every study, in the order of the file; of those on request, of the one named `only`.

    Raises:
        NervelabError: a base lacks the scale, or an axis names no setting or gives it an impossible value.
    """
    axes_of_all = [axis for study in params.studies.values() for block in study.axes for axis in block]
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
                standard = resolver.standard()  # first, so that a mistake in a base is found there
                point = resolver.point(name, axes, key=("studies", name, "axes", number))
                own = resolver.standard(axes.get("optimiser"))
                yield replace(point, off_base=_off_base(point, standard, own))


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

    def point(self, study: str, axes: dict[str, Any], key: Keys) -> Point:
        """The point at some values of some axes.

        Raises:
            NervelabError: they do not fit; the sentence names `key`.
        """
        among = {
            "dataset": self.params.datasets,
            "tokenizer": self.params.tokenizers,
            "optimiser": self.base.optimisers,
        }
        axes = {"seed": SEED, **axes}
        named = {axis: axes.get(axis, getattr(self.base, axis)) for axis in among}
        for axis, name in named.items():
            if name is not None and (not isinstance(name, str) or name not in among[axis]):
                known = ", ".join(among[axis])
                raise NervelabError(
                    f"{self.params.where((*key, axis))}: {name!r} is not defined; define it or use one of {known}."
                )
        content = {axis: None if name is None else _dump(among[axis][name]) for axis, name in named.items()}
        content |= {section: _dump(getattr(self.base, section)) for section in SECTIONS if section not in content}
        for axis, value in axes.items():
            if axis not in named and axis != "seed":
                self._set(content, axis, value, key)
        config = checked(RunConfig, content | {"seed": axes["seed"]}, self.params.where, prefix=key)
        values = _settings(content) | named | {"base": self.name, "seed": axes["seed"]}
        return Point(study, named["dataset"], config, {axis: values.get(axis) for axis in self.shown}, off_base=())

    def _set(self, content: dict[str, Any], axis: str, value: Any, key: Keys) -> None:
        """Set a setting by its dotted name, in place."""
        allowed = _settings(content)
        if axis not in allowed:
            known = ", ".join(("base", *("dataset", "tokenizer", "optimiser"), *allowed))
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


def _off_base(point: Point, standard: Point, own: Point) -> tuple[str, ...]:
    """The keys of the settings, other than the seed, in which a point differs from the base.

    Its optimiser's settings are held against those that the base gives this optimiser (`own`).
    """
    usual = standard.values | {key: each for key, each in own.values.items() if key.startswith("optimiser.")}
    return tuple(axis for axis, value in point.values.items() if axis != "seed" and value != usual[axis])


def _dump(record: Any) -> dict[str, Any]:
    return record.model_dump(mode="json")
