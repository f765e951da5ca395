"""An environment in which the tools of a build cannot work is refused before they start."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from nervelab.data import wheels
from nervelab.errors import NervelabError
from nervelab.leases import LEASE, Holder, take
from nervelab.probes.measure import measure
from nervelab.study.config import Package
from nervelab.training.checkpoint import Checkpoints
from tests.faults.registry import Fault, name
from tests.faults.world import World

GROUP = "The environment"
HOME = (
    "HOME is …, where nothing can be written, and Snakemake and DVC keep their caches there: set HOME to a folder of "
    "yours, then run the same command again."
)


def home(value: str):
    def act(world: World) -> str:
        world.monkeypatch.setenv("HOME", value)
        world.monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
        return world.call("build")

    return act


def no_temporary_folder(world: World) -> str:
    def refuse() -> str:
        raise FileNotFoundError(2, "No usable temporary directory found")

    world.monkeypatch.setenv("HOME", ".")
    world.monkeypatch.setattr("tempfile.gettempdir", refuse)
    return world.call("build")


def pip(said: str):
    """What is made of the last words of pip."""

    def act(world: World) -> str:
        answer = SimpleNamespace(returncode=1, stderr=f"{said}\n", stdout="")
        world.monkeypatch.setattr(subprocess, "run", lambda *_, **__: answer)
        package = Package(name="tiny", version="1.0", sha256="0" * 64, licence="MIT")
        with pytest.raises(NervelabError) as caught:
            wheels.fetch(package, world.corpus / "wheels")
        return str(caught.value).replace(sys.executable, "python")

    return act


def no_batches(_: World) -> str:
    batches = iter([torch.ones(4, 8)])
    list(batches)
    with pytest.raises(NervelabError) as caught:
        measure(nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8)), batches)
    return str(caught.value)


def no_flock(number: int | None):
    """A file system on which a lock is refused, or locks nobody out."""

    def flock(*_: object) -> None:
        if number is not None:
            raise OSError(number, os.strerror(number))

    def act(world: World) -> str:
        world.monkeypatch.setattr("fcntl.flock", flock)
        return world.call("build")

    return act


def another_trainer(world: World) -> str:
    lease = take(world.checkpoint.parent)
    other = replace(Holder.here(), host="another", pid=7)
    (world.checkpoint.parent / LEASE).write_bytes(other.record())
    with pytest.raises(NervelabError) as caught:
        Checkpoints(world.checkpoint.parent, 0, run=world.run.id, lease=lease).save({})
    return str(caught.value)


NO_FLOCK = (
    "the file system of … does not support flock: mount it with flock (Lustre: -o flock; NFS: version 4), or work in "
    "another folder."
)
PIP = "tiny==1.0 could not be downloaded (pip said: {}): {}, then run the same command again."
NO_PIP, FULL = "python: No module named pip", "ERROR: [Errno 28] No space left on device"
ALL = "Everything; nothing has begun."
FAULTS = [
    Fault("HOME is no folder", GROUP, "HOME is /dev/null", HOME, ALL, home("/dev/null")),
    Fault("HOME is not there", GROUP, "HOME is not there", HOME, ALL, home("/nowhere/at/all")),
    Fault(
        "no temporary folder",
        GROUP,
        "neither TMPDIR nor /tmp can be written to",
        "no folder for temporary files can be written to: name one in TMPDIR, then run the same command again.",
        ALL,
        no_temporary_folder,
    ),
    Fault(
        "no pip",
        GROUP,
        "the Python has no pip",
        PIP.format(NO_PIP, "give this Python its pip (`python -m ensurepip`)"),
        ALL,
        pip(NO_PIP),
    ),
    Fault("pip has no room", GROUP, "pip finds the disk full", PIP.format(FULL, "free some space"), ALL, pip(FULL)),
    Fault("no locks", GROUP, "the file system refuses flock", NO_FLOCK, ALL, no_flock(errno.ENOLCK)),
    Fault("locks of no effect", GROUP, "flock locks nobody out", NO_FLOCK, ALL, no_flock(None)),
    Fault(
        "another trainer",
        GROUP,
        "a machine that stood still wakes up, and the run of its training has another one",
        ".checkpoints/…/lease.json is no longer this training's (process 7 on another has taken it over), which "
        "stopped and wrote nothing more: leave the run to the other one, or run the same command again.",
        "Everything; the other training goes on.",
        another_trainer,
    ),
    Fault(
        "batches that were read before",
        GROUP,
        "`measure` is given an iterator that was read before",
        "`batches` held no batch: pass a list, or make the iterator anew, as one that was read before is empty.",
        "The model, as it was.",
        no_batches,
    ),
]


@pytest.mark.parametrize("fault", FAULTS, ids=name)
def test_an_environment_that_cannot_work_is_said(world: World, fault: Fault):
    said = fault.act(world)
    assert fault.is_said_by(said), said
