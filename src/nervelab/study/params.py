"""params.yaml and the files beside it, read strictly: what a scientist may say, and one clear sentence for the rest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PrivateAttr, Strict

from nervelab import layout
from nervelab.errors import NervelabError
from nervelab.study.checked import checked
from nervelab.study.config import Dataset, Measure, Model, Optimiser, Record, Tokenizer, Training
from nervelab.study.decisions import Analysis, Probing
from nervelab.study.derive import Derivation, Keys
from nervelab.study.recipes import Recipe, Uses
from nervelab.study.siblings import DERIVED, Sibling, sibling_of
from nervelab.study.yamlfile import read_yaml

Values = Annotated[list[Any], Field(min_length=1)]
# A study is a target of the workflow, so its name may be none of the others.
STAGES = ("all", "data", "tokens", "trained", "probed", "aggregated", "analysed")
RULES = (*STAGES, "corpus", "tokenise", "plans", "train", "train_together", "probe")
RULES += ("index", "aggregate", "analyse", "report")
# Names stand in file names, on pages and on command lines.
StudyName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]*$", max_length=64)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=64)]
ScaleName = Literal["smoke", "laptop", "paper"]
PAPER = "paper"


class Scale(Record):
    """Which runs a scale trains: all of a study's, or the fewest that show each distinct component once.

    `seeds` says which of the seeds that a study names: all, or seed 0 alone; `recipes` what is taken of the recipes
    that studies name. `changes` are keys of a base that are others at this scale than in what the base derives from.
    """

    runs: Literal["all", "covering"]
    seeds: Literal["all", "zero"] = "all"
    recipes: Uses = "none"
    changes: dict[str, Any] = Field(default_factory=dict)


class Base(Record):
    """The settings that a study's axes vary, by name where they are defined elsewhere.

    With a `sibling` its model is that of what it derives from, made smaller by `nervelab.study.siblings`.
    """

    sibling: Sibling | None = None
    dataset: str
    tokenizer: str | None
    model: Model
    training: Training
    optimiser: str
    optimisers: dict[Name, Optimiser]
    measure: Measure
    _narrower: float = PrivateAttr(1.0)

    @property
    def narrower(self) -> float:
        """Its d over that of the model whose sibling it is; 1 where it is none."""
        return self._narrower


class Study(Record):
    """A question of the paper: blocks of axes over a base, each block the product of its axes.

    An axis may be named `base` too, `embedding` (kept or scaled, see `nervelab.study.siblings`), or `recipe`; `recipe`
    is that of the blocks without such an axis. A study `on_request` is made only where it is named, and needs its base
    only at the scales it is made at.
    """

    question: str
    base: str
    recipe: str | None = None
    on_request: bool = False
    axes: Annotated[tuple[dict[str, Values], ...], Strict(False), Field(min_length=1)]


@dataclass(frozen=True)
class Sources:
    """Where what was read is written: the file of each section, and the place of each key that is derived."""

    path: Path
    files: dict[str, Path]
    places: dict[Keys, Keys] = field(default_factory=dict)

    def place(self, keys: Keys) -> Keys:
        """The keys under which the value of `keys` is written; what is inherited is written elsewhere."""
        for end in range(len(keys), 0, -1):
            if keys[:end] in self.places:
                return (*self.places[keys[:end]], *keys[end:])
        return keys

    def is_papers(self, keys: Keys) -> bool:
        """Whether the value of `keys`, which lies in a base, is written at the paper's scale."""
        section, _, scale, *_ = self.place(keys)
        return section == "bases" and scale == PAPER

    def where(self, keys: Keys) -> str:
        """The file and the dotted key in which the value of `keys` is written."""
        keys = self.place(keys)
        section = str(keys[0]) if keys else ""
        home = next((file for file, sections in layout.CATALOGUE.items() if section in sections), None)
        if section not in self.files and home is not None and len(params_files(self.path)) > 1:
            return f"{self.path.parent / home}: {section}"
        dotted = "".join(each if each.isprintable() else repr(each)[1:-1] for each in ".".join(map(str, keys)))
        return ": ".join((str(self.files.get(section, self.path)), *([dotted] if keys else [])))


class Params(Record):
    """The whole of params.yaml and of the files beside it, with every `from:` resolved."""

    scale: ScaleName
    scales: dict[ScaleName, Scale]
    datasets: dict[Name, Dataset]
    tokenizers: dict[Name, Tokenizer]
    bases: dict[Name, dict[ScaleName, Base]]
    recipes: dict[Name, Recipe]
    studies: dict[StudyName, Study]
    analysis: Analysis
    probe: Probing
    _sources: Sources = PrivateAttr()

    def where(self, keys: Keys) -> str:
        """The file and the dotted key in which the value of `keys` is written."""
        return self._sources.where(keys)

    def is_papers(self, keys: Keys) -> bool:
        """Whether the value of `keys`, which lies in a base, is written at the paper's scale."""
        return self._sources.is_papers(keys)


def params_files(path: Path) -> list[Path]:
    """The params file at `path` and those of the catalogue that lie beside it."""
    return [path, *(file for name in layout.CATALOGUE if (file := path.parent / name).exists())]


def read_params(path: Path) -> Params:
    """The checked content of a params file and of the catalogue beside it.

    Raises:
        NervelabError: a file is missing, is not YAML, or says something it may not; the sentence names file and key.
    """
    content: dict[str, Any] = {}
    files: dict[str, Path] = {}
    for file in params_files(path):
        allowed = layout.CATALOGUE.get(file.relative_to(path.parent)) if file != path else None
        for section, said in read_yaml(file).items():
            if allowed is not None and section not in allowed:
                raise NervelabError(f"{file}: {section}: this file holds {' and '.join(allowed)} alone; move it away.")
            if section in files:
                raise NervelabError(f"{files[section]}: {section} stands in {file} too; keep one of them.")
            content[section], files[section] = said, file
    derivation = Derivation(content, Sources(path, files).where)
    sources = Sources(path, files, derivation.places)
    _refuse_derived(derivation.content, sources)  # first, as what it makes of a model may not fit
    params = checked(Params, derivation.content, sources.where)
    params._sources = sources
    _make_siblings(params)
    _refuse_unknown_names(params)
    return params


def _refuse_derived(content: dict[str, Any], sources: Sources) -> None:
    """Of the model of a sibling only the paper's scale may state what the rule sets; the content is not checked yet."""
    for keys, base in _entries(content.get("bases"), ("bases",), depth=2):
        if base.get("sibling") is None or not isinstance(base.get("model"), dict):
            continue
        for key in DERIVED:
            if key in base["model"] and not sources.is_papers((*keys, "model", key)):
                raise NervelabError(
                    f"{sources.where((*keys, 'model', key))}: follows from the paper's model by the rule for siblings; "
                    "remove it, or say d_model and layers in `sibling`."
                )


def _entries(content: Any, keys: Keys, depth: int) -> Iterator[tuple[Keys, dict[str, Any]]]:
    """The mappings that lie `depth` levels deep, by their keys."""
    if not isinstance(content, dict):
        return
    if not depth:
        yield keys, content
        return
    for key, inner in content.items():
        yield from _entries(inner, (*keys, key), depth - 1)


def _make_siblings(params: Params) -> None:
    """Put the model of its sibling into each base that says it is one."""
    for name, by_scale in params.bases.items():
        for scale, base in by_scale.items():
            if base.sibling is None:
                continue
            keys = ("bases", name, scale)
            if scale == PAPER:
                raise NervelabError(
                    f"{params.where((*keys, 'sibling'))}: the paper's own models are no siblings; remove it."
                )
            try:
                content = sibling_of(base.model, base.sibling)
            except ValueError as error:
                raise NervelabError(f"{params.where((*keys, 'sibling', 'd_model'))}: {error}.") from error
            model = checked(type(base.model), content, params.where, prefix=(*keys, "model"))
            by_scale[scale] = base.model_copy(update={"model": model})
            by_scale[scale]._narrower = base.sibling.d_model / base.model.d_model


def _refuse_unknown_names(params: Params) -> None:
    def known(keys: Keys, name: str, among: dict[str, Any], defined: str) -> None:
        if name not in among:
            raise NervelabError(
                f"{params.where(keys)} refers to {name!r}, which {defined} does not define (it has {', '.join(among)})."
            )

    known(("scale",), params.scale, params.scales, "scales")
    for base_name, by_scale in params.bases.items():
        for scale, base in by_scale.items():
            keys = ("bases", base_name, scale)
            known((*keys, "dataset"), base.dataset, params.datasets, "datasets")
            if base.tokenizer is not None:
                known((*keys, "tokenizer"), base.tokenizer, params.tokenizers, "tokenizers")
            known((*keys, "optimiser"), base.optimiser, base.optimisers, ".".join((*keys, "optimisers")))
    for name, study in params.studies.items():
        if name in RULES:
            raise NervelabError(
                f"{params.where(('studies', name))}: a target of the workflow has this name; give the study another."
            )
        known(("studies", name, "base"), study.base, params.bases, "bases")
        if study.recipe is not None:
            known(("studies", name, "recipe"), study.recipe, params.recipes, "recipes")
    optimisers = {each for by_scale in params.bases.values() for base in by_scale.values() for each in base.optimisers}
    for name, recipe in params.recipes.items():
        for number, row in enumerate(recipe.rates):
            for key, among in (("base", params.bases), ("optimiser", dict.fromkeys(sorted(optimisers)))):
                for position, named in enumerate(getattr(row, key) or ()):
                    known(("recipes", name, "rates", number, key, position), named, among, f"{key}s")
