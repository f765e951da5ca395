"""The numbers that the paper prints, beside which measured ones are shown."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

import yaml


@cache
def _printed() -> dict[str, Any]:
    return yaml.safe_load((files("nervelab.paper") / "printed.yaml").read_text(encoding="utf-8"))


def rows(table: str) -> list[dict[str, Any]]:
    """The paper's rows for one of the tables here."""
    return _printed()[table]["rows"]


def source(table: str) -> str:
    """Where the paper prints them."""
    return _printed()[table]["source"]
