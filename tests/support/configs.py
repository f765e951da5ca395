"""A small model, and changed copies of a config: shared by the tests of several packages."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from nervelab.study.components import components
from nervelab.study.config import DecoderModel, RunConfig

SMALL = DecoderModel(
    family="decoder",
    d_model=24,
    layers=4,
    heads=3,
    context=16,
    width_multiple=4,
    activation="gelu",
    placement="preln",
    final_norm="layernorm",
    tied_embeddings=True,
    biases=("query-key", "value", "attention-output", "ffn"),
    init_std=0.02,
    embedding_std=0.02,
    embedding_dropout=0.0,
)
VOCABULARY = 50


def varied(config: RunConfig, **sections: Any) -> RunConfig:
    """`config` with some fields of its sections (or whole values) replaced, checked again."""
    content = config.model_dump(mode="json")
    for section, fields in sections.items():
        content[section] = content[section] | fields if isinstance(fields, dict) else fields
    return RunConfig.model_validate(content)


def write_plan(path: Path, config: RunConfig) -> Path:
    """A plan as the trainer reads it; its identity is not what is tested here."""
    id = hashlib.sha256(config.model_dump_json().encode()).hexdigest()[:10]
    plan = {
        "name": f"run-{id}",
        "id": id,
        "slug": "run",
        "config": config.model_dump(mode="json"),
        "inputs": {"tokens": "0123456789"},
        "components": components(config),
        "fingerprint": "0" * 64,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(plan))
    return path
