"""The axes of a study, multiplied out over its base: one checked RunConfig for each point."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nervelab.errors import NervelabError
from nervelab.study.config import RunConfig
from nervelab.study.params import Base, Params, checked

# The settings that every listing and table shows, beside the axes of the studies.
SHOWN = ("dataset", "model.placement", "model.activation", "model.width_multiple", "optimiser", "seed")
SECTIONS = ("model", "training", "measure", "optimiser")
SEED = 0  # of a block without the axis `seed`


@dataclass(frozen=True)
class Point:
    """One run that a study asks for.

    `settings` holds what is shown of it, `off_base` the keys of those that differ from the base's own value.
    """

    study: str
    dataset: str
    config: RunConfig
    settings: dict[str, Any]
    off_base: tuple[str, ...]


def expand(params: Params, scale: str, path: Path, only: str | None = None) -> Iterator[Point]:
    """Every point of every study, in the order of the file; of those on request, of the one named `only`.

    Raises:
        NervelabError: a base lacks the scale, or an axis names no setting or gives it an impossible value.
    """
    axes_of_all = [axis for study in params.studies.values() for block in study.axes for axis in block]
    shown = tuple(dict.fromkeys((*SHOWN, *axes_of_all)))
    for name, study in params.studies.items():
        if study.on_request and name != only:
            continue
        by_scale = params.bases[study.base]
        place = f"bases.{study.base}.{scale}"
        if scale not in by_scale:
            raise NervelabError(f"{path}: {place} is missing, but studies.{name} needs it; add it.")
        resolver = Resolver(params, by_scale[scale], path, shown)
        standard = resolver.point(name, {}, key=place)
        for number, block in enumerate(study.axes):
            for values in itertools.product(*block.values()):
                axes = dict(zip(block, values, strict=True))
                point = resolver.point(name, axes, key=f"studies.{name}.axes.{number}")
                yield replace(point, off_base=_off_base(point, standard))


@dataclass(frozen=True)
class Resolver:
    """Turns values on axes into checked configs over one base.

    `path` is named where something is wrong, `shown` are the settings that a point shows.
    """

    params: Params
    base: Base
    path: Path
    shown: tuple[str, ...]

    def point(self, study: str, axes: dict[str, Any], key: str) -> Point:
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
        names = {axis: axes.get(axis, getattr(self.base, axis)) for axis in among}
        for axis, name in names.items():
            if name not in among[axis]:
                known = ", ".join(among[axis])
                raise NervelabError(
                    f"{self.path}: {key}.{axis}: {name!r} is not defined; define it or use one of {known}."
                )
        content = {axis: _dump(among[axis][name]) for axis, name in names.items()}
        content |= {section: _dump(getattr(self.base, section)) for section in SECTIONS if section not in content}
        fields = {f"{section}.{field}": section for section in SECTIONS for field in content[section]}
        for axis, value in axes.items():
            if axis in fields:
                content[fields[axis]][axis.partition(".")[2]] = value
            elif axis not in names and axis != "seed":
                allowed = ", ".join((*names, *fields))
                raise NervelabError(f"{self.path}: {key}.{axis}: there is no such setting; use one of {allowed}.")
        config = checked(RunConfig, content | {"seed": axes["seed"]}, str(self.path), prefix=key)
        values = {axis: content[section][axis.partition(".")[2]] for axis, section in fields.items()}
        values |= names | {"seed": axes["seed"]}
        settings = {axis: values[axis] for axis in self.shown if axis in values}
        return Point(study, names["dataset"], config, settings, off_base=())


def _off_base(point: Point, standard: Point) -> tuple[str, ...]:
    """The keys of the settings, other than the seed, in which a point differs from the base's own."""
    usual = standard.settings
    return tuple(axis for axis, value in point.settings.items() if axis != "seed" and value != usual.get(axis))


def _dump(record: Any) -> dict[str, Any]:
    return record.model_dump(mode="json")
