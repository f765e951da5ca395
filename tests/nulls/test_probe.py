"""The probe of a real training: its own last measurement, its own first one, and nulls that can be drawn again."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from contextlib import nullcontext
from io import BytesIO
from pathlib import Path

import polars as pl
import pytest
import torch
from safetensors.torch import load_file, save_file

from nervelab.errors import NervelabError
from nervelab.nulls.probe import SCHEMA, probed
from nervelab.probefiles import COLUMNS, GAUSSIAN, OTHER_COLUMNS, SHUFFLED, SPECTRAL_COLUMNS, TRAINED, UNTRAINED
from nervelab.study.config import RunConfig
from tests.support.configs import varied, write_plan
from tests.support.tokens import write_tokens

SHORT = {"steps": 30, "eval_tokens": 1024}
MEASURED = {"tokens": 512, "points": 3, "early": [0, 5], "chunk": 8}
SMALL = {"layers": 2, "d_model": 32, "context": 32, "embedding_dropout": 0.1}
# Tied embeddings are kept once; groups of positions are together all; a spectral norm has state of its own.
KINDS = {
    "gelu": {"model": {"tied_embeddings": True}},
    "geglu": {"model": {"activation": "geglu"}, "measure": {"by_position": True}},
    "leaky": {"model": {"activation": "learnable-leaky-relu", "ffn_weights": "spectral-norm", "placement": "none"}},
}


def train(config: RunConfig, tokens: Path, root: Path) -> dict:
    plan = write_plan(root / "plan.json", config)
    paths = {"plan": plan, "data": tokens, "out": root / "run", "checkpoints": root / "checkpoint"}
    options = [word for key, value in paths.items() for word in (f"--{key}", str(value))]
    subprocess.run([sys.executable, "-m", "nervelab.training", *options], check=True, capture_output=True)
    return json.loads(plan.read_text())


@pytest.fixture(params=KINDS)
def trained(request, smoke_config: RunConfig, tmp_path: Path) -> tuple[dict, Path, Path]:
    """A plan, the folder of its run, and that of its tokens."""
    tokens = write_tokens(tmp_path / "data" / "0123456789")
    changes = KINDS[request.param]
    config = varied(
        smoke_config,
        model=SMALL | changes.get("model", {}),
        training=SHORT,
        measure=MEASURED | changes.get("measure", {}),
    )
    return train(config, tokens, tmp_path), tmp_path / "run", tokens


def probe(trained: tuple[dict, Path, Path], *, draws: int = 2, seed: int = 0) -> bytes:
    cpu = torch.device("cpu")
    return probed(*trained, draws=draws, seed=seed, device=cpu, building=nullcontext())


def rows(content: bytes, kind: str) -> pl.DataFrame:
    return pl.read_parquet(BytesIO(content)).filter(activations=kind)


def test_a_probe_of_a_real_training(trained: tuple[dict, Path, Path]):
    content = probe(trained)
    table = pl.read_parquet(BytesIO(content))
    assert dict(table.schema) == SCHEMA
    spectra = pl.read_parquet(trained[1] / "spectra.parquet").filter(group="all", estimator="full")
    # Float32 products leave less than 1e-5 of a metric: see `nervelab.spectra.moments.Moments`.
    for kind, step in ((TRAINED, 30), (UNTRAINED, 0)):
        own, measured = rows(content, kind), spectra.filter(step=step)
        assert own["draw"].to_list() == [0, 0]
        for column in SPECTRAL_COLUMNS:
            assert own[column].to_list() == pytest.approx(measured[column].to_list(), rel=1e-5, abs=1e-6), column
    for kind in (GAUSSIAN, SHUFFLED):
        null = rows(content, kind)
        assert list(zip(null["draw"], null["layer"], strict=True)) == [(0, 0), (0, 1), (1, 0), (1, 1)]
        # Other draws, and other numbers than those of the trained network, with its spectrum before the nonlinearity.
        assert null.select(COLUMNS).unique().height == 4
        own = rows(content, TRAINED)
        for column in ("pr_pre", "pre_activation_scale"):
            assert null[column].to_list() == pytest.approx(own[column].to_list() * 2, rel=0.25)
        assert (null["pr_post"] != pl.concat([own["pr_post"]] * 2)).all()
    assert table.select(pl.col(OTHER_COLUMNS).is_finite().all()).row(0) == (True,) * len(OTHER_COLUMNS)
    assert probe(trained) == content


def test_the_seed_draws_the_nulls_alone_and_more_draws_begin_alike(smoke_config: RunConfig, tmp_path: Path):
    tokens = write_tokens(tmp_path / "data" / "0123456789")
    config = varied(smoke_config, model=SMALL, training=SHORT, measure=MEASURED)
    trained = train(config, tokens, tmp_path), tmp_path / "run", tokens
    first, other, more = probe(trained), probe(trained, seed=1), probe(trained, draws=3)
    for kind in (TRAINED, UNTRAINED):
        assert rows(first, kind).equals(rows(other, kind))
    for kind in (GAUSSIAN, SHUFFLED):
        assert not rows(first, kind)["pr_post"].equals(rows(other, kind)["pr_post"])
        assert rows(first, kind).equals(rows(more, kind).filter(pl.col("draw") < 2))

    damaged = tmp_path / "damaged"
    shutil.copytree(tmp_path / "run", damaged)
    weights = load_file(damaged / "model.safetensors")
    weights.pop(next(iter(weights)))
    save_file(weights, damaged / "model.safetensors")
    for content in (None, b"no weights"):
        if content is not None:
            (damaged / "model.safetensors").write_bytes(content)
        with pytest.raises(NervelabError, match=r"model\.safetensors is damaged \(it does not hold the weights"):
            probe((trained[0], damaged, tokens))
