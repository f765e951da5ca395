"""What several test packages share: small settings that are valid, and the project's own params.yaml."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["SLURM_CONF"] = os.devnull  # no test asks the queue of the machine that it runs on

import pytest

from nervelab.study.config import RunConfig
from nervelab.study.runs import load_project
from tests.support.configs import varied

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def _environment_as_before() -> Iterator[None]:
    """What a test's call of the command line takes on, for the jobs that it starts, is no other test's."""
    before = dict(os.environ)
    yield
    for name in set(os.environ) - set(before):
        del os.environ[name]
    os.environ.update(before)


@pytest.fixture
def smoke_config(monkeypatch: pytest.MonkeyPatch) -> RunConfig:
    """The config of the baseline at the smoke scale, with a recipe of its own: what is tuned moves no test."""
    monkeypatch.chdir(ROOT)
    return varied(
        load_project(scale="smoke", only="activation").runs[0].config,
        model={"init_std": 0.02, "embedding_std": 0.02},
        training={"windows": "crops", "warmup": 0.2, "decay": "cosine", "final_lr": 0.1},
        optimiser={"lr": 3.0e-3, "betas": [0.9, 0.95], "decay": ["matrix"]},
    )
