"""The project's own params.yaml and catalogue, for tests that change a copy."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import yaml

from nervelab import layout
from nervelab.study.params import params_files
from nervelab.study.yamlfile import read_yaml

ROOT = Path(__file__).resolve().parents[2]
PARAMS = ROOT / layout.PARAMS


def written() -> dict[str, Any]:
    """Every section as it is written; saved as one params.yaml it asks for the same."""
    return {section: said for file in params_files(PARAMS) for section, said in read_yaml(file).items()}


def saved(folder: Path, sections: dict[str, Any]) -> Path:
    """`sections` as one params.yaml in `folder`, without the aliases that YAML's own writer makes of equal parts."""
    path = folder / layout.PARAMS
    path.write_text(yaml.dump(sections, Dumper=_Plain, sort_keys=False))
    return path


class _Plain(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def copied(folder: Path) -> Path:
    """Copies of the files in `folder`; the path of its params.yaml."""
    for file in params_files(PARAMS):
        copy = folder / file.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, copy)
    return folder / layout.PARAMS


def edited(folder: Path, file: str, old: str, new: str) -> Path:
    """Copies of the files in `folder`, in one of which a text is replaced once; the path of its params.yaml."""
    path = copied(folder)
    text = (folder / file).read_text()
    assert old in text, f"{old!r} is not in {file}"
    (folder / file).write_text(text.replace(old, new, 1))
    return path
