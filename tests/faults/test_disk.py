"""A full disk, a limit on files and a folder that is read-only, at every writer: nothing half-written takes a name."""

from __future__ import annotations

import errno
import os
import re
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nervelab import layout
from nervelab.data.corpus import build_corpus
from nervelab.data.tokens import build_tokens
from nervelab.errors import NervelabError
from nervelab.training.checkpoint import Checkpoints
from tests.faults.registry import Fault, name
from tests.faults.world import World, full_after, train

GROUP = "A disk that refuses"
SAME = "then run the same command again."
FULL = f"could not be written (No space left on device): free some space there, {SAME}"
LIMIT = f"could not be written (File too large): raise the limit on the size of files (ulimit -f), {SAME}"
CLOSED = f"could not be written (Read-only file system): make the folder writable, or work in another one, {SAME}"
ALL = "What the file held before; all other files."


def raised(write: Callable[[], object]) -> str:
    with pytest.raises(NervelabError) as caught:
        write()
    return str(caught.value)


def corpus(world: World) -> str:
    wanted = world.run.data.corpus
    place = {"corpus_id": wanted.id, "folder": Path("data/corpora/new"), "wheels": layout.WHEELS}
    return raised(lambda: build_corpus(wanted.dataset, **place))


def tokens(world: World) -> str:
    wanted = world.run.data
    place = {"corpus": world.corpus, "folder": Path("data/tokens/new"), "wheels": layout.WHEELS}
    return raised(lambda: build_tokens(wanted.tokenizer, tokens_id=wanted.id, **place))


def run(world: World) -> str:
    shutil.rmtree(world.run.folder)
    return raised(lambda: train(world.run, loss=4.0))


def checkpoint(world: World) -> str:
    checkpoints = Checkpoints(world.checkpoint.parent, 0, run=world.run.id)
    return raised(lambda: checkpoints.save({"step": 6}))


def plans(world: World) -> str:
    world.plan.unlink()
    return world.call("plan", world.run.name)


def stage(verb: str, damaged: str) -> Callable[[World], str]:
    """What a stage says that has to be made anew because one of its files was deleted."""

    def write(world: World) -> str:
        for path in Path().glob(damaged):
            path.unlink()
        return world.stage(verb)

    return write


WRITERS = {
    "a corpus": (corpus, "data/corpora/…"),
    "tokens": (tokens, "data/tokens/…"),
    "a run": (run, "runs/laptop/…"),
    "a checkpoint": (checkpoint, ".checkpoints/…/state.pt"),
    "plans": (plans, "plans/….json"),
    "the list of runs": (stage("index", "results/runs.json"), "results/runs.json"),
    "gathered tables": (stage("aggregate", "aggregates/laptop/*"), "aggregates/laptop/…"),
    "tables of results": (stage("analyse", "results/tables/*"), "results/tables/…"),
    "the page": (stage("report", "results/index.html"), "results/…"),
}


@contextmanager
def limited(size: int) -> Iterator[None]:
    """No file may become longer than so many bytes; Python ignores the signal, and is told EFBIG."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def full(write: Callable[[World], str]) -> Callable[[World], str]:
    def act(world: World) -> str:
        world.monkeypatch.setattr(os, "fsync", full_after(64))
        return write(world)

    return act


def over_the_limit(write: Callable[[World], str]) -> Callable[[World], str]:
    def act(world: World) -> str:
        with limited(64):
            return write(world)

    return act


def closed(write: Callable[[World], str]) -> Callable[[World], str]:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    def act(world: World) -> str:
        world.monkeypatch.setattr("nervelab.files.tempfile.mkstemp", refuse)
        return write(world)

    return act


HOW = (
    ("the disk is full", full, FULL),
    ("a file may not become that long", over_the_limit, LIMIT),
    ("the folder is read-only", closed, CLOSED),
)
FAULTS = [
    Fault(f"{words} while {what} written", GROUP, f"{words} while {what} written", f"{file} {said}", ALL, how(write))
    for label, (write, file) in WRITERS.items()
    for what in (f"{label} {'are' if label in ('tokens', 'plans') or label.endswith('s') else 'is'}",)
    for words, how, said in HOW
]


def contents() -> dict[Path, bytes]:
    """Every file of the project but for locks."""
    return {path: path.read_bytes() for path in Path().rglob("*") if path.is_file() and path.name != "lock"}


@pytest.mark.parametrize("fault", FAULTS, ids=name)
def test_a_disk_that_refuses_is_said(world: World, fault: Fault):
    before = contents()
    said = fault.act(world)
    assert fault.is_said_by(said), said
    after = contents()
    assert not [path for path in after if path.name.endswith(".part")]
    assert {path for path in before.keys() & after.keys() if before[path] != after[path]} == set()
    assert not {"manifest.json", "run.json"} & {path.name for path in after.keys() - before.keys()}
    new = [path.name for path in after.keys() - before.keys()]
    assert not [each for each in new if re.fullmatch(r"(index|aggregate|analyse|report)-.*\.json", each)], new


@pytest.mark.parametrize(("options", "said"), [("size=16k", FULL), ("size=16k,ro", CLOSED)], ids=["full", "read-only"])
def test_a_real_disk_that_refuses_is_said(world: World, options: str, said: str):
    """The same of a disk of its own, where one can be mounted; the cases above are walked everywhere."""
    folder = Path("results/figures")
    shutil.rmtree(folder)
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=False)
    if mounted.returncode:
        pytest.skip("no disk can be mounted here: only root may")
    try:
        found = world.stage("report")
    finally:
        subprocess.run(["umount", str(folder)], check=True)
    assert re.fullmatch(r"results/figures/[\w-]+\.svg " + re.escape(said), found), found
