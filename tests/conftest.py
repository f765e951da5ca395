"""What several test packages share: small settings that are valid, and the project's own params.yaml."""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["SLURM_CONF"] = os.devnull  # no test asks the queue of the machine that it runs on

import pytest

from nervelab.study.config import RunConfig
from nervelab.study.runs import load_project

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def smoke_config(monkeypatch: pytest.MonkeyPatch) -> RunConfig:
    """The config of the baseline at the smoke scale."""
    monkeypatch.chdir(ROOT)
    return load_project(scale="smoke", only="activation").runs[0].config
