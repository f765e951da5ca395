"""One machine with several GPUs: a training on each, never two on one. They are made up; what trains is the CPU."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.paced import PATIENCE, processes
from tests.support.project import Project

PROFILE = "--profile workflow/profiles/multigpu"
ON_CPU = f"snakemake trained {PROFILE} --cores 4 --config device=cpu --set-resources train:gpu=1"
# Runs in each process before its own code: a trainer records which GPU it was shown, and when it began and ended. The
# first of them goes on only when a second is there.
RECORDER = """
import atexit, os, sys, time
if "nervelab.training" in sys.orig_argv:
    def tell(what):
        with open({record!r}, "a", encoding="utf-8") as file:
            file.write(f"{{what}} {{os.environ.get('CUDA_VISIBLE_DEVICES')}}\\n")
    tell("began")
    atexit.register(tell, "ended")
    end = time.monotonic() + {patience}
    while open({record!r}, encoding="utf-8").read().count("began") < 2 and time.monotonic() < end:
        time.sleep(0.05)
"""
HOLDER = """
import sys
from nervelab.build.devices import lease_devices
print(lease_devices(1), flush=True)
sys.stdin.read()
"""


@dataclass(frozen=True)
class Box(Project):
    """A project on a machine with these GPUs, whose trainers record what they were shown."""

    visible: str

    @property
    def record(self) -> Path:
        """What they recorded."""
        return self.folder.parent / "record"

    @property
    def environment(self) -> dict[str, str]:
        """As elsewhere, with the GPUs, and the recorder before everything else."""
        common = super().environment
        imports = os.pathsep.join((common["PYTHONPATH"], str(self.folder.parent / "before")))
        return {**common, "PYTHONPATH": imports, "CUDA_VISIBLE_DEVICES": self.visible}

    def shared_out(self) -> tuple[set[str], int]:
        """The GPUs that trainings had, never two the same, and how many trainings ran at once at most."""
        used, busy, most = set(), set(), 0
        for what, device in map(str.split, self.record.read_text(encoding="utf-8").splitlines()):
            if what == "began":
                assert device not in busy, f"two trainings on {device}"
                busy.add(device)
                used.add(device)
                most = max(most, len(busy))
            else:
                busy.remove(device)
        assert not busy
        return used, most


def box(template: Project, folder: Path, visible: str, *, missing: int) -> Box:
    """A copy of the built project that lacks so many of its runs."""
    project = Box(template.copy(folder / "project").folder, visible)
    before = folder / "before"
    before.mkdir()
    code = RECORDER.format(record=str(project.record), patience=PATIENCE)
    (before / "sitecustomize.py").write_text(code, encoding="utf-8")
    for name in sorted(project.runs())[:missing]:
        shutil.rmtree(project.folder / "runs" / "laptop" / name)
    return project


@pytest.mark.slow
@pytest.mark.parametrize("visible", ["0,1", "GPU-8f2e,MIG-GPU-aaaa-0/2/0"], ids=["numbers", "uuids"])
def test_two_trainings_run_side_by_side_and_never_share_a_gpu(template: Project, tmp_path: Path, visible: str):
    project = box(template, tmp_path, visible, missing=4)
    project.run(ON_CPU)
    assert project.shared_out() == (set(visible.split(",")), 2)
    assert project.results() == template.results()


@pytest.mark.slow
def test_of_three_gpus_one_is_taken_by_another_process(template: Project, tmp_path: Path):
    project = box(template, tmp_path, "0,1,2", missing=2)
    held = subprocess.Popen(
        [sys.executable, "-c", HOLDER],
        cwd=project.folder,
        env={**project.environment, "CUDA_VISIBLE_DEVICES": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with held:
        assert b"'1'" in held.stdout.readline()
        project.run(ON_CPU)
        assert project.shared_out() == ({"0", "2"}, 2)
        held.stdin.close()


@pytest.mark.slow
def test_a_training_that_is_killed_frees_its_gpu(template: Project, tmp_path: Path):
    project = box(template, tmp_path, "0", missing=1)
    project.record.write_text("began other\nended other\n", encoding="utf-8")  # none is waited for
    build = project.start(ON_CPU)
    end = time.monotonic() + PATIENCE
    while not (found := processes(project, r"nervelab\.training ")):
        assert build.poll() is None
        assert time.monotonic() < end
        time.sleep(0.02)
    found[0].kill()
    assert build.wait(timeout=PATIENCE) == 0  # it was tried again, and would have waited for ever
    assert project.results() == template.results()


def test_the_profile_lets_as_many_trainings_run_as_there_are_gpus(template: Project, tmp_path: Path):
    project = box(template, tmp_path, "0,1,3", missing=2)
    said = project.run(f"snakemake {PROFILE} -n trained")
    assert "gpu=1" in said
    refused = project.run(f"snakemake {PROFILE} -n trained --resources gpu=4", fails=True)
    assert "--resources gpu=4 would let 4 trainings share the 3 GPUs that cuda means here: say " in refused
