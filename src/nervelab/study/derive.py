"""Mappings that name with `from:` what they derive from, and state only what differs.

A derived mapping has every key of what it derives from. A key that it states itself wins: mappings are merged key by
key, everything else (lists too) is replaced. Three things end a merge: a mapping with a `from:` of its own starts from
that and from nothing else; one of another kind (`kind`, `modality`, `family`, or `name` of an optimiser) replaces; null
replaces.

What a scale `changes` lies between a base of that scale and what the base derives from, unless that is of the same
scale and has been changed already.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from nervelab.errors import NervelabError

Keys = tuple[str | int, ...]
# The sections whose entries may derive, and how deep in the file an entry of each lies.
ENTRIES = {"scales": 2, "datasets": 2, "tokenizers": 2, "bases": 3}
TAGS = ("kind", "modality", "family", "name")  # the keys that tell the records of a union apart
FROM = "from"
_DEEPEST = 12


@dataclass(frozen=True)
class _Layer:
    """A mapping as it is written, and where."""

    content: dict[str, Any]
    place: Keys


class Derivation:
    """A study's content with every `from:` resolved.

    `content` is the result, `places` says of its keys where the value is written, as far as that is elsewhere.
    """

    def __init__(self, written: dict[str, Any], where: Callable[[Keys], str]) -> None:
        """Resolve what is `written`; `where` names a place for readers.

        Raises:
            NervelabError: a `from:` names nothing, something of another kind, or leads back to itself.
        """
        self._written, self._where = written, where
        self._known: dict[Keys, list[_Layer]] = {(): [_Layer(written, ())]}
        self._under_way: list[Keys] = []
        self.places: dict[Keys, Keys] = {}
        self.content = {
            section: self._resolved((section,)) if section in ENTRIES and isinstance(content, dict) else content
            for section, content in written.items()
        }
        self._refuse_idle_changes()

    def _resolved(self, path: Keys) -> dict[str, Any]:
        layers = self._layers(path)
        if len(path) > _DEEPEST:
            raise self._circle(layers[0])
        found = {}
        # What is derived from says in which order keys stand.
        for key in dict.fromkeys(key for layer in reversed(layers) for key in layer.content if key != FROM):
            layer = next(layer for layer in layers if key in layer.content)
            inner, place = (*path, key), (*layer.place, key)
            if place != inner:
                self.places[inner] = place
            value = layer.content[key]
            found[key] = self._resolved(inner) if isinstance(value, dict) else value
        return found

    def _layers(self, path: Keys) -> list[_Layer]:
        """The mappings that are merged at `path`, the one that wins first; none where there is no mapping."""
        if path not in self._known:
            if path in self._under_way:
                raise self._circle(_Layer({FROM: self._written_at(path).get(FROM)}, path))
            self._under_way.append(path)
            found = self._of_one_kind(list(self._merged(path)))
            self._under_way.pop()
            self._known[path] = found
        return self._known[path]

    def _merged(self, path: Keys) -> Iterator[_Layer]:
        *above, key = path
        for layer in self._layers(tuple(above)):
            if key not in layer.content:
                continue
            if not isinstance(layer.content[key], dict):
                return
            own = _Layer(layer.content[key], (*layer.place, key))
            yield own
            target = self._target(own) if FROM in own.content else None
            yield from self._changes(own.place, target)
            if target is not None:
                yield from self._layers(target)
                return

    def _changes(self, place: Keys, target: Keys | None) -> list[_Layer]:
        if place[0] != "bases" or len(place) != ENTRIES["bases"] or (target and target[-1] == place[-1]):
            return []
        return self._layers(("scales", place[-1], "changes"))

    @staticmethod
    def _of_one_kind(layers: list[_Layer]) -> list[_Layer]:
        """The layers without those of another kind than the first, and without what only changes those."""
        tag = next((tag for tag in TAGS if any(tag in layer.content for layer in layers)), None)
        named = [number for number, layer in enumerate(layers) if tag in layer.content]
        own = [layers[number].content[tag] for number in named]
        others = [number for number, name in zip(named, own, strict=True) if name != own[0]]
        return layers[: 1 + max(number for number in named if number < others[0])] if others else layers

    def _target(self, layer: _Layer) -> Keys:
        """Where what a mapping derives from lies: looked for beside it, then beside what holds it, and so on."""
        name, place = layer.content[FROM], layer.place
        if not isinstance(name, str) or not name:
            raise NervelabError(
                f"{self._where((*place, FROM))}: should be the name of what this derives from, but is {name!r}."
            )
        if place[0] == "bases" and len(place) < ENTRIES["bases"]:
            raise NervelabError(
                f"{self._where((*place, FROM))}: a base derives at each of its scales; move this there."
            )
        for depth in range(len(place) - 1, -1, -1):
            found = self._walk(place[:depth], name)
            if found is not None:
                break
        else:
            known = ", ".join(each for each in self._keys(place[:-1]) if each != place[-1])
            raise NervelabError(
                f"{self._where((*place, FROM))}: there is nothing called {name!r}; use a name from beside it"
                f"{f' ({known})' if known else ''} or a path such as bases.NAME.SCALE."
            )
        if found == place[: len(found)]:
            raise self._circle(layer)
        entry = ENTRIES.get(str(place[0]), 0)
        alike = found[0] == place[0] and (len(found) == len(place) or min(len(found), len(place)) > entry)
        if not alike or not self._layers(found):
            raise NervelabError(
                f"{self._where((*place, FROM))}: {name!r} is something else than what derives from it here; "
                "name another of the same kind."
            )
        return found

    def _walk(self, scope: Keys, name: str) -> Keys | None:
        """The path of `name` below `scope`; names may hold dots themselves."""
        for key in self._keys(scope):
            if name == key:
                return (*scope, key)
            if isinstance(key, str) and name.startswith(f"{key}."):
                found = self._walk((*scope, key), name[len(key) + 1 :])
                if found is not None:
                    return found
        return None

    def _keys(self, scope: Keys) -> list[Any]:
        return list(dict.fromkeys(key for layer in self._layers(scope) for key in layer.content if key != FROM))

    def _written_at(self, path: Keys) -> dict[str, Any]:
        content: Any = self._written
        for key in path:
            content = content.get(key, {}) if isinstance(content, dict) else {}
        return content if isinstance(content, dict) else {}

    def _circle(self, layer: _Layer) -> NervelabError:
        return NervelabError(
            f"{self._where((*layer.place, FROM))}: {layer.content.get(FROM)!r} leads back to what derives from it; "
            "derive from something that does not."
        )

    def _refuse_idle_changes(self) -> None:
        """A change that every base of the scale overrules would be asked for and not be done."""
        used = {place[:number] for place in self.places.values() for number in range(len(place) + 1)}
        bases = [("bases", base) for base in self._keys(("bases",))]
        for scale in self._keys(("scales",)):
            if not any(scale in self._keys(base) for base in bases):
                continue
            for place in _leaves(self._written_at(("scales", scale, "changes")), ("scales", scale, "changes")):
                if place not in used:
                    raise NervelabError(
                        f"{self._where(place)}: changes no base, as each of this scale states this key itself; "
                        "edit the bases, or remove it here."
                    )


def _leaves(content: Any, place: Keys) -> Iterator[Keys]:
    if isinstance(content, dict) and content:
        for key, value in content.items():
            yield from _leaves(value, (*place, key))
    elif len(place) > 3:
        yield place
