"""A run that measures by several estimators: their rows, their seconds, and the same bytes in each execution."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from nervelab import runfiles
from nervelab.study.config import RunConfig
from tests.support.configs import varied
from tests.training.test_training import train

ESTIMATORS = ["full", "sampling-0.25-richardson", "randsvd-1/6", "bkq-2x4"]


def test_rows_for_each_estimator_and_the_same_bytes_again(smoke_config: RunConfig, tokens: Path, tmp_path: Path):
    config = varied(
        smoke_config,
        training={"steps": 4, "eval_tokens": 1024},
        measure={"tokens": 512, "points": 2, "early": [], "chunk": 8, "estimators": ESTIMATORS},
        model={"layers": 2, "d_model": 32, "context": 32},
    )
    once, again = (train(config, tokens, tmp_path / name) for name in ("once", "again"))
    for name in runfiles.RUN_RESULTS:
        assert (once / name).read_bytes() == (again / name).read_bytes()
    spectra = pl.read_parquet(once / "spectra.parquet")
    assert spectra.group_by("estimator").len().sort("estimator").rows() == [(name, 4) for name in sorted(ESTIMATORS)]
    assert spectra.filter(estimator="bkq-2x4")["pr_post"].is_finite().all()
    eigenvalues = pl.read_parquet(once / "eigenvalues.parquet")
    assert eigenvalues.schema["eigenvalues_post"] == pl.List(pl.Float64)
    assert eigenvalues["eigenvalues_pre"].list.len().unique().to_list() == [128]
    seconds = pl.read_parquet(once / "estimators.parquet")
    assert seconds.select("step", "estimator").rows() == [(step, name) for step in (2, 4) for name in ESTIMATORS]
    assert (seconds["moments_seconds"] > 0).all()
