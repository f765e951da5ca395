"""Studies resolved to runs, each known by what determines its numbers."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from nervelab import layout
from nervelab.errors import NervelabError
from nervelab.files import canonical_json, digest, sha256
from nervelab.study.code import refuse_other_code
from nervelab.study.components import TRAINER, components
from nervelab.study.config import Dataset, DecoderModel, MixerModel, RunConfig, Tokenizer
from nervelab.study.expand import Point, expand
from nervelab.study.fingerprint import fingerprint
from nervelab.study.params import Params, read_params

ID_LENGTH = 10
CORPUS_ENTRIES = {"text": "nervelab.data.corpus", "images": "nervelab.data.images"}
TOKENS_ENTRY = "nervelab.data.tokens"


@dataclass(frozen=True)
class Corpus:
    """A cleaned, split corpus, of documents or of labelled images, and its identity.

    Images are trained on as they lie there; documents become `Tokens` first.
    """

    name: str
    dataset: Dataset
    kind = "corpus"

    @property
    def corpus(self) -> Corpus:
        """Itself: the corpus that the data of a run were made from."""
        return self

    @property
    def folder(self) -> Path:
        """Where it lies."""
        return layout.CORPORA / self.id

    @cached_property
    def id(self) -> str:
        """Hash of the data set's record, of a local source's content, and of the code that cleans it."""
        code = _code(CORPUS_ENTRIES[self.dataset.modality])
        return digest([_dump(self.dataset), _local_content(self.dataset.source), code])[:ID_LENGTH]


@dataclass(frozen=True)
class Tokens:
    """A tokenised corpus and its identity."""

    corpus: Corpus
    tokenizer: Tokenizer
    kind = "tokens"

    @property
    def folder(self) -> Path:
        """Where they lie."""
        return layout.TOKENS / self.id

    @cached_property
    def id(self) -> str:
        """Hash of the tokenizer's record, the corpus's id, and the code that tokenises."""
        return digest([_dump(self.tokenizer), _local_content(self.tokenizer), self.corpus.id, _code(TOKENS_ENTRY)])[
            :ID_LENGTH
        ]


@dataclass(frozen=True)
class Run:
    """One training. Two studies that need the same run share it.

    `settings` and `off_base` are those of its `Point`, of the first study that asks for it; `recipes` of all of them.
    """

    scale: str
    config: RunConfig
    data: Tokens | Corpus
    settings: dict[str, Any]
    off_base: tuple[str, ...]
    studies: tuple[str, ...]
    recipes: tuple[str, ...] = ()

    @cached_property
    def fingerprint(self) -> str:
        """The fingerprint of the code that trains this run."""
        return _code(TRAINER, *components(self.config).values())

    @cached_property
    def id(self) -> str:
        """Hash of the RunConfig, the ids of the inputs and the code fingerprint."""
        return run_id(_dump(self.config), self.inputs, self.fingerprint)

    @property
    def inputs(self) -> dict[str, str]:
        """The id of the data that it trains on, by their kind."""
        return {self.data.kind: self.data.id}

    @property
    def slug(self) -> str:
        """A readable name, made of the RunConfig alone."""
        return "-".join((*_slugged(self.config.model), self.config.optimiser.name, f"s{self.config.seed}"))

    @property
    def name(self) -> str:
        """Slug and id: the name of the run's folder."""
        return f"{self.slug}-{self.id}"

    @property
    def folder(self) -> Path:
        """Where the run's files lie."""
        return layout.run_folder(self.scale, self.name)


@dataclass(frozen=True)
class Project:
    """params.yaml resolved at one scale."""

    params: Params
    scale: str
    runs: tuple[Run, ...]

    @cached_property
    def tokens(self) -> dict[str, Tokens]:
        """The tokenised corpora that the runs need, by id."""
        return {run.data.id: run.data for run in self.runs if run.data.kind == "tokens"}

    @cached_property
    def data(self) -> dict[str, Tokens | Corpus]:
        """What the runs train on, by id."""
        return {run.data.id: run.data for run in self.runs}

    @cached_property
    def corpora(self) -> dict[str, Corpus]:
        """The corpora that the runs need, by id."""
        return {run.data.corpus.id: run.data.corpus for run in self.runs}

    def run(self, name: str) -> Run:
        """The run of this name.

        Raises:
            NervelabError: params.yaml does not ask for it (any more).
        """
        for run in self.runs:
            if run.name == name:
                return run
        raise NervelabError(
            f"params.yaml (or the code) no longer asks for the run {name}: it was edited after this build began; "
            "start the build again."
        )


def run_id(config: dict[str, Any], inputs: dict[str, str], code: str) -> str:
    """The identity of a run."""
    return digest({"config": config, "inputs": inputs, "code": code})[:ID_LENGTH]


def load_project(
    path: Path = layout.PARAMS, scale: str | None = None, only: str | None = None, params: Params | None = None
) -> Project:
    """Read params.yaml and resolve its studies, or the one named `only`, at `scale`, by default the one it names.

    Whoever resolves it several times hands over the `params` that were read from it once.

    Raises:
        NervelabError: bad input, said in one sentence with the key's path, or code that is not the folder's own.
    """
    refuse_other_code()
    params = params or read_params(path)
    scale = scale or params.scale
    if scale not in params.scales:
        raise NervelabError(f"{path}: there is no scale {scale!r}; use one of {', '.join(params.scales)}.")
    if only is not None and only not in params.studies:
        raise NervelabError(f"{path}: there is no study {only!r}; use one of {', '.join(params.studies)}.")
    found: dict[str, Run] = {}
    data: dict[str, Tokens | Corpus] = {}
    for point in expand(params, scale, only):
        run = _run(scale, point, data)
        earlier = found.get(run.name)
        found[run.name] = run if earlier is None else _shared(earlier, run)
    runs = tuple(run for run in found.values() if only is None or only in run.studies)
    if params.scales[scale].runs == "covering":
        runs = tuple(covering(runs))
    return Project(params, scale, runs)


def named_settings(run: Run) -> set[Any]:
    """Settings by name, and those that are switched on."""
    return {(key, str(value)) for key, value in run.settings.items() if isinstance(value, str) or value is True}


def covering(runs: Collection[Run], components: Callable[[Run], set[Any]] = named_settings) -> list[Run]:
    """The runs, greedily few, that show every distinct component at least once."""
    left = {run.name: components(run) for run in runs}
    by_name = {run.name: run for run in runs}
    chosen = []
    while left:
        best = max(left, key=lambda name: len(left[name]))
        shown = left.pop(best)
        if not shown:
            break
        chosen.append(by_name[best])
        left = {name: components - shown for name, components in left.items()}
    return chosen


def _run(scale: str, point: Point, known: dict[str, Tokens | Corpus]) -> Run:
    """The run of a point; `known` holds the data met so far, so that each is hashed once."""
    config = point.config
    key = canonical_json([point.dataset, _dump(config.dataset), config.tokenizer and _dump(config.tokenizer)])
    if key not in known:
        corpus = Corpus(point.dataset, config.dataset)
        known[key] = corpus if config.tokenizer is None else Tokens(corpus, config.tokenizer)
    return Run(scale, config, known[key], point.settings, point.off_base, (point.study,), point.recipes)


def _slugged(model: DecoderModel | MixerModel) -> tuple[str, ...]:
    """What a readable name says of a model: its family, and where it is not GPT-2's own way of doing things."""
    if model.family == "mixer":
        norm = () if model.norm == "layernorm" else (model.norm,)
        return (model.family, *norm, model.token_activation, model.activation)
    usual = {"norm": "layernorm", "ffn_weights": "free", "positions": "learned"}
    unusual = [getattr(model, key) for key, value in usual.items() if getattr(model, key) != value]
    width = f"{model.width_multiple}d" if model.width_multiple else f"D{model.ffn_width}"
    placement = "normfree" if model.placement == "none" else model.placement
    positions = {"rope": "rope", "none": "nope"}
    unusual = [positions.get(each, each) for each in unusual]
    return (model.family, placement, *unusual, model.activation, width)


@cache
def _code(*entries: str) -> str:
    return fingerprint(entries)


def _shared(earlier: Run, run: Run) -> Run:
    return replace(
        earlier,
        settings={**run.settings, **earlier.settings},
        studies=tuple(dict.fromkeys((*earlier.studies, *run.studies))),
        recipes=tuple(dict.fromkeys((*earlier.recipes, *run.recipes))),
    )


def _dump(record: Any) -> dict[str, Any]:
    return record.model_dump(mode="json")


def _local_content(source: Any) -> list[list[str]]:
    """What the local files of a data set or a tokenizer hold now; pinned and published ones are known by their pins."""
    if source.kind == "folder":
        files = sorted((path for path in Path(source.path).rglob(f"*{source.suffix}") if path.is_file()), key=_parts)
        if not files:
            raise NervelabError(
                f"{source.path} holds no {source.suffix} file: mend path or suffix of the data set's source."
            )
    else:
        names = (getattr(source, key, None) for key in ("train", "validation", "name"))
        roots = [Path(name) for name in names if name and Path(name).exists()]
        found = [path for root in roots for path in (sorted(root.rglob("*"), key=_parts) if root.is_dir() else [root])]
        files = [path for path in found if path.is_file()]
    return [["/".join(_parts(path)), sha256(path)] for path in files]


def _parts(path: Path) -> list[str]:
    """The parts of a path, read as UTF-8 whatever the encoding of the locale is."""
    return os.fsencode(path.as_posix()).decode(errors="surrogateescape").split("/")
