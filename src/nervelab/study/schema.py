"""JSON schemas of params.yaml, the catalogue and workflow/execution.yaml: made from the records that check them.

`python -m nervelab.study.schema` writes them again. Where an entry may derive from another no key is required, as it
may be inherited: what is missing in the end is said by `read_params`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nervelab import layout
from nervelab.files import write_json
from nervelab.study.derive import FROM
from nervelab.study.execution import Execution
from nervelab.study.params import Params

FOLDER = Path("workflow/schemas")
_DIALECT = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
_DERIVES = {"type": "string", "description": "what this derives from; see config/README.md"}
_WHOLE = ("Study", "Recipe", "Row", "Analysis", "TextPackage")  # records that derive from nothing


def schemas() -> dict[str, dict[str, Any]]:
    """The schema of each file, by its name in `FOLDER`."""
    whole = Params.model_json_schema()
    records = {name: record if name in _WHOLE else _derivable(record) for name, record in whole["$defs"].items()}
    optimisers = records["Base"]["properties"]["optimisers"]  # a table of records that may derive as a whole
    ((pattern, record),) = optimisers.pop("patternProperties").items()
    optimisers |= {"properties": {FROM: _DERIVES}, "patternProperties": {f"^(?!{FROM}$){pattern[1:]}": record}}
    records["Scale"]["properties"]["changes"] = {"$ref": "#/$defs/Base"}
    sections = {name: _any_of(section) for name, section in whole["properties"].items()}
    question = [name for name in sections if not any(name in held for held in layout.CATALOGUE.values())]
    return {
        schema_name(layout.PARAMS): _file(sections, question, records),
        **{
            schema_name(file): _file({name: sections[name] for name in held}, held, records)
            for file, held in layout.CATALOGUE.items()
        },
        schema_name(layout.EXECUTION): _DIALECT | Execution.model_json_schema(),
    }


def schema_name(file: Path) -> str:
    """The name of the schema of a file."""
    return f"{file.stem}.schema.json"


def _file(sections: dict[str, Any], required: Any, records: dict[str, Any]) -> dict[str, Any]:
    return {
        **_DIALECT,
        "type": "object",
        "additionalProperties": False,
        "properties": sections,
        "required": list(required),
        "$defs": {name: records[name] for name in sorted(_named_by(sections, records))},
    }


def _named_by(schema: Any, records: dict[str, Any]) -> set[str]:
    """The records that a schema refers to, and those that these refer to."""
    found: set[str] = set()
    left = [schema]
    while left:
        part = left.pop()
        left.extend(part if isinstance(part, list) else part.values() if isinstance(part, dict) else ())
        name = str(part.get("$ref", "")).rpartition("/")[2] if isinstance(part, dict) else ""
        if name and name not in found:
            found.add(name)
            left.append(records[name])
    return found


def _derivable(record: dict[str, Any]) -> dict[str, Any]:
    """A record of which any key may be inherited, and which may say from what."""
    changed = {key: _any_of(value) for key, value in record.items() if key != "required"}
    if record.get("type") == "object":
        changed["properties"] = {FROM: _DERIVES, **changed["properties"]}
    return changed


def _any_of(schema: Any) -> Any:
    """Without tags of unions, which may be inherited too: a part fits any of the records."""
    if isinstance(schema, list):
        return [_any_of(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    renamed = {"anyOf" if key == "oneOf" else key: each for key, each in schema.items() if key != "discriminator"}
    return {key: _any_of(each) for key, each in renamed.items()}


if __name__ == "__main__":
    for name, schema in schemas().items():
        write_json(FOLDER / name, schema)
