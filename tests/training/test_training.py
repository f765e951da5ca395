"""A run ends with the same files however often it was stopped, and says how it ended."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional
from transformers import GPT2Config, GPT2LMHeadModel

from nervelab import runfiles
from nervelab.data.batches import TokenStore
from nervelab.study.config import RunConfig
from nervelab.training.checkpoint import Checkpoints
from tests.support.configs import varied, write_plan

SHORT = {"steps": 30, "eval_tokens": 1024}
PROBE = {"tokens": 512, "points": 3, "early": [0, 5], "chunk": 8}


@pytest.fixture
def config(smoke_config: RunConfig) -> RunConfig:
    # Dropout draws from torch's generator at every step, so that a resume which forgot its state would show.
    return varied(
        smoke_config,
        training=SHORT,
        measure=PROBE,
        model={"embedding_dropout": 0.1, "layers": 2, "d_model": 32, "context": 32},
    )


def command(config: RunConfig, tokens: Path, root: Path, *options: str) -> list[str]:
    plan = write_plan(root / "plan.json", config)
    paths = {"plan": plan, "data": tokens, "out": root / "run", "checkpoints": root / "checkpoint"}
    arguments = [word for key, value in paths.items() for word in (f"--{key}", str(value))]
    return [sys.executable, "-m", "nervelab.training", *arguments, *options]


def train(config: RunConfig, tokens: Path, root: Path, *options: str) -> Path:
    subprocess.run(command(config, tokens, root, *options), check=True, capture_output=True)
    return root / "run"


def contents(run: Path) -> dict[str, bytes]:
    """What must be equal between two executions."""
    return {name: (run / name).read_bytes() for name in (*runfiles.RUN_RESULTS, runfiles.RUN_JSON)}


def test_a_run_leaves_every_file_and_says_what_it_was(config: RunConfig, tokens: Path, tmp_path: Path):
    run = train(config, tokens, tmp_path)
    assert sorted(path.name for path in run.iterdir()) == sorted(runfiles.RUN_FILES)
    said = json.loads((run / "run.json").read_text())
    assert said["outcome"] == "finished"
    assert said["config"] == config.model_dump(mode="json")
    assert said["stopped_at"] == 30
    assert said["final"]["eval_loss"] < said["final"]["unigram_loss"]
    history = pl.read_parquet(run / "history.parquet")
    assert history["step"].to_list() == [0, 5, 10, 20, 30]
    assert history["train_loss"].null_count() == 1
    assert history["tokens"].to_list() == [step * 8 * 32 for step in history["step"]]
    spectra = pl.read_parquet(run / "spectra.parquet")
    assert spectra.height == 5 * 2
    assert spectra["n_tokens"].unique().to_list() == [512]
    assert not (tmp_path / "checkpoint").exists()


def test_killed_and_resumed_it_ends_with_the_same_bytes(config: RunConfig, tokens: Path, tmp_path: Path):
    config = varied(config, training={"steps": 400})
    whole = contents(train(config, tokens, tmp_path / "whole"))
    moments = random.Random(7)
    again = command(config, tokens, tmp_path / "killed", "--checkpoint-seconds", "0.05")
    kills = 0
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL, signal.SIGINT):
        process = subprocess.Popen(again, stderr=subprocess.DEVNULL)
        wait_for(partial(saved_or_over, tmp_path / "killed" / "checkpoint" / "state.pt", process))
        time.sleep(moments.uniform(0.05, 0.4))
        process.send_signal(number)
        kills += process.wait() != 0
    assert kills >= 3, "the run was too short to be stopped"
    subprocess.run(again, check=True, capture_output=True)
    assert contents(tmp_path / "killed" / "run") == whole


def test_sigterm_saves_and_exits(config: RunConfig, tokens: Path, tmp_path: Path):
    config = varied(config, training={"steps": 5000})
    process = subprocess.Popen(
        command(config, tokens, tmp_path, "--checkpoint-seconds", "1000"), stderr=subprocess.PIPE, text=True
    )
    progress = tmp_path / "checkpoint" / "progress.json"
    wait_for(progress.exists)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGTERM
    assert "stopped by SIGTERM" in said
    plan = json.loads((tmp_path / "plan.json").read_text())
    state = Checkpoints(tmp_path / "checkpoint", seconds=0, run=plan["id"]).load()
    told = json.loads(progress.read_text())
    assert state["step"] == told["step"] == told["saved"] > 0
    assert not (tmp_path / "run").exists()


def test_of_two_trainings_of_one_run_the_second_waits(config: RunConfig, tokens: Path, tmp_path: Path):
    both = [subprocess.Popen(command(config, tokens, tmp_path), stderr=subprocess.PIPE, text=True) for _ in range(2)]
    assert [process.wait(timeout=120) for process in both] == [0, 0]
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == sorted(runfiles.RUN_FILES)


def test_what_is_whole_is_not_trained_again_and_what_is_not_is(config: RunConfig, tokens: Path, tmp_path: Path):
    run = train(config, tokens, tmp_path)
    whole, written = contents(run), (run / "run.json").stat().st_mtime_ns
    train(config, tokens, tmp_path)
    assert (run / "run.json").stat().st_mtime_ns == written
    (run / "history.parquet").unlink()
    train(config, tokens, tmp_path)
    assert contents(run) == whole


def test_a_batch_in_parts_trains_the_same_but_for_rounding(config: RunConfig, tokens: Path, tmp_path: Path):
    config = varied(config, model={"embedding_dropout": 0.0})
    whole = load_file(train(config, tokens, tmp_path / "whole") / "model.safetensors")
    parts = load_file(train(config, tokens, tmp_path / "parts", "--accumulation", "3") / "model.safetensors")
    assert any(not torch.equal(whole[name], parts[name]) for name in whole)
    for name in whole:
        torch.testing.assert_close(parts[name], whole[name], rtol=0, atol=2e-5)


def test_a_learning_rate_beyond_reason_is_recorded_as_diverged(config: RunConfig, tokens: Path, tmp_path: Path):
    wild = varied(config, optimiser={"lr": 1.0e30}, training={"clip": None})
    said = json.loads((train(wild, tokens, tmp_path) / "run.json").read_text())
    assert said["outcome"] == "diverged"
    assert said["stopped_at"] < 30
    assert said["final"]["eval_loss"] is None


def test_a_run_that_learns_nothing_is_recorded_as_stuck(config: RunConfig, tokens: Path, tmp_path: Path):
    idle = varied(config, optimiser={"lr": 1.0e-12})
    said = json.loads((train(idle, tokens, tmp_path) / "run.json").read_text())
    assert said["outcome"] == "stuck"
    assert said["final"]["eval_loss"] > said["final"]["unigram_loss"] - idle.training.stuck_margin


@pytest.mark.parametrize("source", ["probe", "batch"])
def test_the_last_spectra_are_those_of_activations_tapped_by_hand_in_transformers(
    config: RunConfig, tokens: Path, tmp_path: Path, source: str
):
    """The final weights, copied into transformers' GPT-2, and float64 numpy on what passes its `c_fc` and `c_proj`."""
    wanted = {"source": source, "tokens": 512 if source == "probe" else None}
    run = train(varied(config, measure=wanted), tokens, tmp_path)
    other = transformers_gpt2(config, load_file(run / "model.safetensors"))
    store = TokenStore.open(tokens)
    if source == "probe":
        inputs, targets = store.fixed_windows("validation", tokens=512, context=32)
    else:
        inputs, targets = store.training_batch(seed=0, step=30, batch=8, context=32)
    tapped: dict[str, np.ndarray] = {}
    for number, block in enumerate(other.transformer.h):
        block.mlp.c_fc.register_forward_hook(lambda _m, _x, out, key=f"pre{number}": tapped.update({key: out.numpy()}))
        block.mlp.c_proj.register_forward_pre_hook(
            lambda _m, x, key=f"post{number}": tapped.update({key: x[0].numpy()})
        )
    with torch.no_grad():
        logits = other(inputs).logits
    last = pl.read_parquet(run / "eigenvalues.parquet").filter(pl.col("step") == 30)
    for row in last.iter_rows(named=True):
        for site in ("pre", "post"):
            x = tapped[f"{site}{row['layer']}"].reshape(-1, 128).astype(np.float64)
            expected = np.clip(np.linalg.eigvalsh(np.cov(x, rowvar=False))[::-1], 0, None)
            stored = np.array(row[f"eigenvalues_{site}"])
            np.testing.assert_allclose(stored, expected, atol=1e-5 * expected[0], rtol=0)
    if source == "probe":
        eval_loss = pl.read_parquet(run / "history.parquet")["eval_loss"][-1]
        loss = functional.cross_entropy(logits.flatten(0, 1).double(), targets.flatten()).item()
        assert eval_loss == pytest.approx(loss, rel=1e-5)


def transformers_gpt2(config: RunConfig, weights: dict[str, torch.Tensor]) -> GPT2LMHeadModel:
    model = config.model
    settings = GPT2Config(
        vocab_size=512,
        n_positions=model.context,
        n_embd=model.d_model,
        n_layer=model.layers,
        n_head=model.heads,
        activation_function="gelu",
    )
    other = GPT2LMHeadModel(settings).eval()
    with torch.no_grad():
        for parameter in other.parameters():
            if parameter.ndim == 1:
                parameter.zero_()
        other.transformer.wte.weight.copy_(weights["tokens.weight"])
        other.transformer.wpe.weight.copy_(weights["positions.weight"])
        for name, norm in (("weight", other.transformer.ln_f.weight), ("bias", other.transformer.ln_f.bias)):
            norm.copy_(weights[f"final_norm.{name}"])
        for number, block in enumerate(other.transformer.h):
            attention, ffn = f"blocks.{number}.0", f"blocks.{number}.1"
            for name in ("weight", "bias"):
                getattr(block.ln_1, name).copy_(weights[f"{attention}.norm.{name}"])
                getattr(block.ln_2, name).copy_(weights[f"{ffn}.norm.{name}"])
            maps = [weights[f"{attention}.inner.{part}.weight"] for part in ("query", "key", "value")]
            block.attn.c_attn.weight.copy_(torch.cat(maps).T)
            biases = [weights[f"{attention}.inner.{part}.bias"] for part in ("query", "key")]
            block.attn.c_attn.bias[: 2 * model.d_model].copy_(torch.cat(biases))
            block.attn.c_proj.weight.copy_(weights[f"{attention}.inner.output.weight"].T)
            block.mlp.c_fc.weight.copy_(weights[f"{ffn}.inner.up.weight"].T)
            block.mlp.c_proj.weight.copy_(weights[f"{ffn}.inner.down.weight"].T)
    return other


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_gpu_that_is_not_there_is_one_sentence(config: RunConfig, tokens: Path, tmp_path: Path):
    answer = subprocess.run(
        command(config, tokens, tmp_path, "--device", "cuda"), capture_output=True, text=True, check=False
    )
    assert answer.returncode == 2
    assert answer.stderr.startswith("error: --device cuda was asked for, but torch finds no GPU")
    assert answer.stderr.count("\n") == 1


@pytest.mark.parametrize("damage", ["cut short", "one bit turned", "other bytes", "empty"])
def test_a_damaged_checkpoint_is_refused_by_name(config: RunConfig, tokens: Path, tmp_path: Path, damage: str):
    state = tmp_path / "checkpoint" / "state.pt"
    Checkpoints(state.parent, seconds=0).save({"step": 3, "weights": torch.ones(1000)})
    whole = state.read_bytes()
    turned = bytearray(whole)
    turned[len(whole) // 2] ^= 1
    other = bytes(random.Random(0).randbytes(1000))
    damaged = {"cut short": whole[:-100], "one bit turned": turned, "other bytes": other, "empty": b""}
    state.write_bytes(damaged[damage])
    answer = subprocess.run(command(config, tokens, tmp_path), capture_output=True, text=True, check=False)
    assert answer.returncode == 2
    assert f"{state} is damaged" in answer.stderr


def saved_or_over(state: Path, process: subprocess.Popen) -> bool:
    return state.exists() or process.poll() is not None


def wait_for(condition, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


def test_a_trainer_that_is_not_the_code_of_its_plan_refuses(config: RunConfig, tmp_path: Path):
    words = command(config, tmp_path / "tokens", tmp_path, "--code", str(tmp_path / "snapshot"))
    answer = subprocess.run(words, check=False, capture_output=True, text=True)
    assert answer.returncode == 2
    assert f"instead of the plan's {tmp_path / 'snapshot'}" in answer.stderr
    assert answer.stderr.count("\n") == 1
    assert not (tmp_path / "run").exists()
