"""Content held against its record: one clear sentence, with the place and the remedy, for what does not fit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import ValidationError

from nervelab.errors import NervelabError
from nervelab.study.config import Record
from nervelab.study.derive import TAGS, Keys


def checked(record: type[Record], content: Any, where: Callable[[Keys], str], prefix: Keys = ()) -> Any:
    """`content` as a record.

    Args:
        record: what it should be.
        content: what is said.
        where: names for readers the file and the key in which the value of some keys is written.
        prefix: the keys under which the content lies.

    Raises:
        NervelabError: it does not fit.
    """
    try:
        return record.model_validate(content)
    except ValidationError as error:
        # A key that is not known explains a key that is missing, so it comes first.
        problems = sorted(error.errors(), key=lambda problem: problem["type"] != "extra_forbidden")
        # What derives from a mistake repeats it, and each type that a value may be of has a complaint of its own.
        by_place: dict[str, str] = {}
        for each in problems:
            by_place.setdefault(where((*prefix, *_keys(each["loc"], content))), _say(each))
        said = [f"{place}: {complaint}" for place, complaint in by_place.items()]
        more = f" ({len(said) - 1} more to mend after it)" if len(said) > 1 else ""
        raise NervelabError(f"{said[0]}{more}.") from error


def _keys(location: tuple[int | str, ...], content: Any) -> list[int | str]:
    """The location of an error without what pydantic inserts into it: tags and types of unions, and marks of keys."""
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
        if not isinstance(content, dict | list):  # what follows names one of the types that it may be of
            break
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
    if kind == "string_pattern_mismatch" and problem["loc"][-1] == "[key]":
        return (
            "this makes no name: use letters (small ones for a study), digits, '.', '_' and '-', "
            "and begin with a letter or digit"
        )
    if kind == "value_error":
        return str(problem["ctx"]["error"])
    if kind in ("model_type", "dict_type", "model_attributes_type"):
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
        return "; write the number without quotes, underscores or leading zeros"
    if isinstance(given, bool) and kind.startswith(("string", "literal")):
        return "; YAML reads a bare yes, no, on or off so, put it in quotes"
    return ""
