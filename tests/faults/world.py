"""The project that faults are done to: data, plans, runs and results of the workflow's small params.yaml."""

from __future__ import annotations

import errno
import os
import re
import shutil
import sys
from functools import cached_property
from pathlib import Path

import pyarrow as pa
import pytest
import torch

from nervelab import cli, layout
from nervelab.data.corpus import build_corpus
from nervelab.data.tokens import build_tokens
from nervelab.errors import NervelabError
from nervelab.stages.targets import Targets
from nervelab.study.plans import write_plan
from nervelab.study.runs import Project, Run, load_project
from nervelab.training.artefacts import KEYS, SCHEMAS, Rows, write_run
from nervelab.training.checkpoint import Checkpoints
from tests.support.project import write_texts

PARAMS = Path(__file__).resolve().parents[1] / "workflow" / "params.yaml"
STEPS = (0, 10, 20)


class World:
    """The paths of the project that the test stands in, and ways to ask it something."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
        self.monkeypatch, self.capsys = monkeypatch, capsys
        monkeypatch.setattr(cli, "hold_job", no_lock)

    @cached_property
    def project(self) -> Project:
        return load_project()

    @property
    def run(self) -> Run:
        return self.project.runs[0]

    @property
    def corpus(self) -> Path:
        return self.run.data.corpus.folder

    @property
    def tokens(self) -> Path:
        return self.run.data.folder

    @property
    def plan(self) -> Path:
        return layout.plan_path(self.run.name)

    @property
    def code(self) -> Path:
        return layout.code_folder(self.run.fingerprint) / "nervelab"

    @property
    def checkpoint(self) -> Path:
        return layout.CHECKPOINTS / self.run.name / "state.pt"

    def call(self, verb: str, *words: str) -> str:
        """What a verb of the command line says of a fault, for which it has to exit with status 2."""
        self.monkeypatch.setattr(sys, "argv", ["nervelab", verb, *words])
        self.capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = self.capsys.readouterr().err
        assert ended.value.code == 2, said
        assert said.startswith("error: "), said
        assert said.count("\n") == 1, said
        return said.removeprefix("error: ").removesuffix("\n")

    def stage(self, name: str) -> str:
        """What a rendering stage says of a fault."""
        return self.call(name, "--stamp", str(Targets.of().stages[name].to_make()))

    def load(self) -> str:
        """What the trainer says of the checkpoint."""
        checkpoints = Checkpoints(self.checkpoint.parent, 0, run=self.run.id)
        with pytest.raises(NervelabError) as caught:
            checkpoints.load()
        return str(caught.value)


def no_lock(*_: object) -> None:
    """In place of the lock that a job holds until its process ends: here many follow one another in one process."""


def make(folder: Path) -> None:
    """Make the project in `folder`, where the caller stands."""
    shutil.copy(PARAMS, folder / "params.yaml")
    write_texts(folder / "texts")
    project = load_project()
    for id, corpus in project.corpora.items():
        build_corpus(corpus.dataset, corpus_id=id, folder=corpus.folder, wheels=layout.WHEELS)
    for id, tokens in project.tokens.items():
        place = {"corpus": tokens.corpus.folder, "folder": tokens.folder, "wheels": layout.WHEELS}
        build_tokens(tokens.tokenizer, tokens_id=id, **place)
    for number, run in enumerate(project.runs):
        write_plan(run)
        train(run, loss=4.0 + number / 10)
    run = project.runs[0]
    Checkpoints(layout.CHECKPOINTS / run.name, 0, run=run.id).save({"step": 5})
    for name in ("index", "aggregate", "analyse", "report"):
        sys_argv, sys.argv = sys.argv, ["nervelab", name, "--stamp", str(Targets.of().stages[name].to_make())]
        try:
            cli.app(standalone_mode=False)
        finally:
            sys.argv = sys_argv


def train(run: Run, *, loss: float) -> None:
    """Write the run's folder with the trainer's own writer; what it holds is made up."""
    rows = Rows()
    for step in STEPS:
        measured = {name: 2.0 for name, kind in SCHEMAS["spectra"].items() if pa.types.is_floating(kind)}
        for layer in range(2):
            key = dict(zip(KEYS, (step, layer, "all", "full"), strict=True))
            rows.add("spectra", **key, **measured, n_tokens=256, width=128)
            rows.add("eigenvalues", **key, eigenvalues_pre=[2.0, 1.0], eigenvalues_post=[2.0, 1.0])
        numbers = dict.fromkeys(("train_loss", "lr", "gradient_norm"), 1.0)
        per_step = {"rates": [], "batches": []}
        rows.add("history", step=step, eval_loss=loss, eval_accuracy=None, tokens=step, **numbers, **per_step)
        rows.add("timing", step=step, train_seconds=1.0, measure_seconds=1.0)
        rows.add("estimators", step=step, estimator="full", moments_seconds=1.0, solve_seconds=1.0)
    final = {"eval_loss": loss, "eval_accuracy": None, "eval_tokens": 512, "unigram_loss": 5.5}
    config = run.config.model_dump(mode="json")
    known = {"name": run.name, "id": run.id, "slug": run.slug, "config": config, "inputs": run.inputs}
    ended = {"fingerprint": run.fingerprint, "parameters": 1000, "outcome": "finished", "stopped_at": 20}
    environment = {"device": "made up", "torch": torch.__version__, "threads": 1, "git_commit": None}
    weights = {"a": torch.ones(64)}
    write_run(run.folder, rows=rows, weights=weights, summary=known | ended | {"final": final}, environment=environment)


def truncate(path: Path) -> None:
    """Keep the first half of a file."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def flip(path: Path, after: bytes = b"") -> None:
    """Flip one bit: the lowest of the first digit behind `after`, or, without that, of the byte in the middle."""
    content = bytearray(path.read_bytes())
    place = re.compile(re.escape(after) + rb"\D*?\d").search(bytes(content)).end() - 1 if after else len(content) // 2
    content[place] ^= 1
    path.write_bytes(content)


def full_after(size: int, number: int = errno.ENOSPC):
    """In place of `os.fsync`: a disk that holds no more than the first `size` bytes of a file."""

    def fsync(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        if path.stat().st_size > size:
            os.truncate(path, size)
            raise OSError(number, os.strerror(number))

    return fsync
