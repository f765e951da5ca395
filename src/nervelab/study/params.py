"""params.yaml, read strictly: what a scientist may say, and one clear sentence for everything else."""

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, Strict, ValidationError, model_validator

from nervelab.errors import NervelabError
from nervelab.study.config import Dataset, Measure, Model, Optimiser, Record, Tokenizer, Training
from nervelab.study.decisions import Analysis

Values = Annotated[list[Any], Field(min_length=1)]
# A study is a target of the workflow, so its name may be none of the others.
STAGES = ("all", "data", "tokens", "trained", "aggregated", "analysed")
RULES = (*STAGES, "corpus", "tokenise", "plans", "train", "index", "aggregate", "analyse", "report")
TAGS = ("kind", "name", "modality", "family")  # the keys that tell the records of a union apart
StudyName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]*$")]
ScaleName = Literal["smoke", "laptop", "paper"]


class Scale(Record):
    """Which runs a scale trains: all of a study's, or the fewest that show each distinct component once.

    `seeds` says which of the seeds that a study names: all, or seed 0 alone.
    """

    runs: Literal["all", "covering"]
    seeds: Literal["all", "zero"] = "all"


class Base(Record):
    """The settings that a study's axes vary, by name where they are defined elsewhere in the file."""

    dataset: str
    tokenizer: str | None
    model: Model
    training: Training
    optimiser: str
    optimisers: dict[str, Optimiser]
    measure: Measure


class Study(Record):
    """A question of the paper: blocks of axes over a base, each block the product of its axes.

    An axis may be named `base` too. A study `on_request` is made only where it is named, and needs its base only at the
    scales it is made at.
    """

    question: str
    base: str
    on_request: bool = False
    axes: Annotated[tuple[dict[str, Values], ...], Strict(False), Field(min_length=1)]


class Params(Record):
    """The whole of params.yaml."""

    scale: ScaleName
    scales: dict[ScaleName, Scale]
    datasets: dict[str, Dataset]
    tokenizers: dict[str, Tokenizer]
    bases: dict[str, dict[ScaleName, Base]]
    studies: dict[StudyName, Study]
    analysis: Analysis

    @model_validator(mode="after")
    def _names_refer_to_something(self) -> "Params":
        def known(key: str, name: str, among: dict[str, Any], where: str) -> None:
            if name not in among:
                raise ValueError(f"{key} refers to {name!r}, which {where} does not define (it has {', '.join(among)})")

        known("scale", self.scale, self.scales, "scales")
        for base_name, by_scale in self.bases.items():
            for scale, base in by_scale.items():
                key = f"bases.{base_name}.{scale}"
                known(f"{key}.dataset", base.dataset, self.datasets, "datasets")
                if base.tokenizer is not None:
                    known(f"{key}.tokenizer", base.tokenizer, self.tokenizers, "tokenizers")
                known(f"{key}.optimiser", base.optimiser, base.optimisers, f"{key}.optimisers")
        for name, study in self.studies.items():
            if name in RULES:
                raise ValueError(f"studies.{name}: a target of the workflow has this name; give the study another")
            known(f"studies.{name}.base", study.base, self.bases, "bases")
        return self


def read_params(path: Path) -> Params:
    """The checked content of a params file.

    Raises:
        NervelabError: the file is missing, is not YAML, or says something it may not; the sentence names the key.
    """
    try:
        content = yaml.load(path.read_bytes(), Loader=_Loader)
    except FileNotFoundError as error:
        raise NervelabError(f"{path} is missing: run this from the project's folder, or restore the file.") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "not valid YAML"
        raise NervelabError(f"{path}{place}: {problem}; mend the YAML there.") from error
    return checked(Params, content, str(path))


def checked(record: type[Record], content: Any, where: str, prefix: str = "") -> Any:
    """`content` as a record.

    Raises:
        NervelabError: it does not fit; the sentence names `where`, the key's path and the remedy.
    """
    try:
        return record.model_validate(content)
    except ValidationError as error:
        # A key that is not known explains a key that is missing, so it comes first.
        problems = sorted(error.errors(), key=lambda problem: problem["type"] != "extra_forbidden")
        first = problems[0]
        key = ".".join(str(part) for part in (*([prefix] if prefix else []), *_keys(first["loc"], content)))
        more = f" ({len(problems) - 1} more to mend after it)" if len(problems) > 1 else ""
        raise NervelabError(f"{where}: {f'{key}: ' if key else ''}{_say(first)}{more}.") from error


class _Loader(yaml.SafeLoader):
    """Refuses a key given twice, which YAML's own loader settles silently for the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if key.value in seen and key.tag != "tag:yaml.org,2002:merge":
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value} is given twice", key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _keys(location: tuple[int | str, ...], content: Any) -> list[int | str]:
    """The location of an error without what pydantic inserts into it: the tags of unions, and marks of keys."""
    keys: list[int | str] = []
    tag_passed = False
    for part in location:
        is_tag = isinstance(content, dict) and not tag_passed and part in [content.get(tag) for tag in TAGS]
        if is_tag or part == "[key]":
            tag_passed = is_tag
            continue
        tag_passed = False
        keys.append(part)
        if isinstance(content, dict):
            content = content.get(part)
        elif isinstance(content, list) and isinstance(part, int) and part < len(content):
            content = content[part]
    return keys


def _say(problem: Any) -> str:
    kind, given = problem["type"], problem["input"]
    if kind == "extra_forbidden":
        return "this key is not known; remove it or mend its spelling"
    if kind == "missing":
        return "this key is missing; add it"
    if kind == "union_tag_not_found":
        return f"the key {problem['ctx']['discriminator']} is missing; add it"
    if kind == "union_tag_invalid":
        key, tag, known = (problem["ctx"][each] for each in ("discriminator", "tag", "expected_tags"))
        return f"{tag!r} is no {key} known here; use one of {known}"
    if kind == "value_error":
        return str(problem["ctx"]["error"])
    if kind == "model_type":
        return f"should be a mapping of keys to values, but is {given!r}"
    if kind in ("tuple_type", "list_type"):
        return f"should be a list in square brackets, but is {given!r}"
    said = problem["msg"][0].lower() + problem["msg"][1:]
    return f"{said}, but is {given!r}{_hint(kind, given)}" if not isinstance(given, dict) else said


def _hint(kind: str, given: Any) -> str:
    """What YAML made of a value that looked like another."""
    if isinstance(given, str) and kind.startswith(("float", "int")):
        try:
            float(given)
        except ValueError:
            return "; write a plain number"
        return (
            "; YAML reads 1e-3 as text, write 1.0e-3" if "e" in given.lower() else "; write the number without quotes"
        )
    if isinstance(given, bool) and kind.startswith(("string", "literal")):
        return "; YAML reads a bare yes, no, on or off so, put it in quotes"
    return ""
