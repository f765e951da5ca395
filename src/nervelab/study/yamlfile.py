"""A YAML file of the study, read strictly.

A file is plain mappings, lists and scalars: keys given twice, aliases and merge keys are refused, and numbers are those
of YAML 1.2, as DVC reads and writes them (`1e-05` is one).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, ClassVar

import yaml

from nervelab.errors import NervelabError, missing

_TAG = "tag:yaml.org,2002:"
_EXPONENT = r"[eE][-+]?[0-9]+"
_INT = re.compile(r"^[-+]?(?:0|[1-9][0-9]*)$")
_FLOAT = re.compile(
    rf"^(?:[-+]?(?:(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:{_EXPONENT})?|[0-9]+{_EXPONENT}|\.(?:inf|Inf|INF))|\.(?:nan|NaN|NAN))$"
)
_DERIVE = "an override would miss it: write the key `from:` there, with the name of what it derives from"


def read_yaml(path: Path) -> dict[str, Any]:
    """The content of a YAML file that holds a mapping.

    Raises:
        NervelabError: the file is missing, cannot be read, or says something it may not; the sentence names the line.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8-sig"), Loader=_Loader)
    except FileNotFoundError as error:
        raise missing(path, "run this from the project's folder, or restore the file.") from error
    except OSError as error:
        raise NervelabError(f"{path} cannot be read ({error.strerror}): mend its permissions or restore it.") from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise NervelabError(f"{path}, line {line}: not UTF-8; save the file as UTF-8.") from error
    except RecursionError as error:
        raise NervelabError(f"{path}: nested too deeply; mend the YAML there.") from error
    except (yaml.YAMLError, ValueError) as error:
        raise NervelabError(f"{path}{_said(error)}; mend the YAML there.") from error
    if content is None:
        raise NervelabError(f"{path} is empty: restore it, or write its keys.")
    if not isinstance(content, dict):
        raise NervelabError(f"{path}: should be a mapping of keys to values, but is {_kind(content)}; mend it.")
    return content


class _Loader(yaml.SafeLoader):
    """YAML's safe loader without what an override would lose, and without numbers that others read as text."""

    yaml_implicit_resolvers: ClassVar[dict[str, list[tuple[str, re.Pattern[str]]]]] = {
        first: [each for each in resolvers if each[0] not in (f"{_TAG}int", f"{_TAG}float")]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            alias = self.peek_event()
            raise yaml.composer.ComposerError(
                None, None, f"*{alias.anchor} is an alias, and {_DERIVE}", alias.start_mark
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _refused("a key should be a name, but is a list or a mapping", key)
            if key.tag == f"{_TAG}merge":
                raise _refused(f"<< is a merge key, and {_DERIVE}", key)
            if key.value in seen:
                raise _refused(f"the key {key.value} is given twice", key)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(f"{_TAG}int", _INT, list("-+0123456789"))
_Loader.add_implicit_resolver(f"{_TAG}float", _FLOAT, list("-+.0123456789"))


def _refused(problem: str, node: yaml.Node) -> yaml.YAMLError:
    return yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


def _said(error: yaml.YAMLError | ValueError) -> str:
    """Line and problem of an error, in one line."""
    if isinstance(error, yaml.reader.ReaderError):
        return f": the character #x{error.character:04x} is not allowed"
    mark = getattr(error, "problem_mark", None)
    place = f", line {mark.line + 1}" if mark else ""
    problem = " ".join(str(getattr(error, "problem", None) or error).split())
    tab = " (a tab: indent by spaces)" if "'\\t'" in problem else ""
    return f"{place}: {problem}{tab}"


def _kind(content: Any) -> str:
    return "a list" if isinstance(content, list) else repr(content)
