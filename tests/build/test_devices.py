"""Each training has a GPU of its own, and a killed one leaves none taken. The GPUs are made up: names and no more."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from nervelab import cli
from nervelab.build.devices import lease_devices, visible_devices
from nervelab.errors import NervelabError

# Leases, and then lets another program take its place, as `nervelab train` lets the trainer.
TRAINING = """
import os, sys
from nervelab.build.devices import lease_devices
environment = os.environ | lease_devices({count})
os.execve(sys.executable, [sys.executable, "-c", {trainer!r}], environment)
"""
TRAINER = "import os, sys; print(os.environ['CUDA_VISIBLE_DEVICES'], flush=True); sys.stdin.read()"
WHOLE = """GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-aaaa-0)
GPU 1: NVIDIA H100 80GB HBM3 (UUID: GPU-bbbb-1)
"""
DIVIDED = """GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-aaaa-0)
  MIG 3g.20gb     Device  0: (UUID: MIG-cccc-0)
  MIG 3g.20gb     Device  1: (UUID: MIG-GPU-aaaa-0/2/0)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-bbbb-1)
"""


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on a machine without a scheduler, and with nothing said of its GPUs."""
    monkeypatch.chdir(tmp_path)
    for name in ("CUDA_VISIBLE_DEVICES", "SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "JOB_ID"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def trainings():
    """Starts trainings, and ends those that are left."""
    started = []

    def start(visible: str, count: int = 1) -> subprocess.Popen:
        code = TRAINING.format(count=count, trainer=TRAINER)
        environment = {**os.environ, "CUDA_VISIBLE_DEVICES": visible}
        pipe = subprocess.PIPE
        started.append(
            subprocess.Popen(
                [sys.executable, "-c", code], stdin=pipe, stdout=pipe, stderr=pipe, env=environment, text=True
            )
        )
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def seen(training: subprocess.Popen) -> str:
    """The GPUs that a trainer found in its environment, once it runs."""
    return training.stdout.readline().strip()


def nvidia_smi(folder: Path, monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    """Put a program of that name first on PATH."""
    program = folder / "bin" / "nvidia-smi"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ncat <<'end'\n{said}end\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")


@pytest.mark.parametrize(
    ("value", "devices"),
    [
        ("0", ["0"]),
        ("2, 0", ["2", "0"]),
        ("GPU-8f2e,MIG-GPU-aaaa-0/2/0", ["GPU-8f2e", "MIG-GPU-aaaa-0/2/0"]),
        ("0,-1,1", ["0"]),
        ("1,1", ["1"]),
    ],
)
def test_the_variable_names_the_devices(box: Path, monkeypatch, value: str, devices: list[str]):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
    assert visible_devices() == devices


@pytest.mark.parametrize("value", ["", "-1", "NoDevFiles"])
def test_a_variable_that_hides_all_devices_is_refused(box: Path, monkeypatch, value: str):
    nvidia_smi(box, monkeypatch, WHOLE)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
    with pytest.raises(NervelabError, match=rf"^CUDA_VISIBLE_DEVICES={value} hides every GPU: name there "):
        visible_devices()


@pytest.mark.parametrize(
    ("said", "devices"),
    [(WHOLE, ["GPU-aaaa-0", "GPU-bbbb-1"]), (DIVIDED, ["MIG-cccc-0", "MIG-GPU-aaaa-0/2/0", "GPU-bbbb-1"])],
)
def test_without_it_nvidia_smi_lists_them(box: Path, monkeypatch, said: str, devices: list[str]):
    nvidia_smi(box, monkeypatch, said)
    assert visible_devices() == devices


def test_no_device_is_refused(box: Path, monkeypatch):
    monkeypatch.setenv("PATH", str(box))
    with pytest.raises(NervelabError, match=r"^no GPU is found here \(`nvidia-smi -L` lists none\): name those "):
        visible_devices()
    nvidia_smi(box, monkeypatch, "No devices were found\n")
    with pytest.raises(NervelabError, match="no GPU is found here"):
        visible_devices()


@pytest.mark.parametrize("visible", ["0,1", "GPU-8f2e,MIG-GPU-aaaa-0/2/0"])
def test_two_trainings_side_by_side_never_share_one(box: Path, trainings, visible: str):
    first, second = trainings(visible), trainings(visible)
    assert {seen(first), seen(second)} == set(visible.split(","))


def test_a_third_training_waits_until_a_killed_one_frees_its_device(box: Path, trainings):
    first, second = trainings("0,1"), trainings("0,1")
    freed = seen(first)
    assert seen(second) != freed
    third = trainings("0,1")
    assert third.stderr.readline() == "waiting for 1 of the GPUs 0, 1 to be free\n"
    assert third.poll() is None
    first.kill()
    assert seen(third) == freed


def test_of_three_devices_one_is_taken_by_another_process(box: Path, trainings):
    other = trainings("1")
    assert seen(other) == "1"
    assert [seen(trainings("0,1,2")) for _ in range(2)] == ["0", "2"]


def test_several_devices_are_taken_all_or_none(box: Path, trainings):
    assert seen(trainings("0,1,2", count=2)) == "0,1"
    pair = trainings("0,1,2", count=2)
    assert pair.stderr.readline() == "waiting for 2 of the GPUs 0, 1, 2 to be free\n"
    assert seen(trainings("0,1,2")) == "2"


def test_a_device_by_its_number_is_waited_for_alone(box: Path, monkeypatch, trainings):
    other = trainings("1")
    seen(other)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    said = []
    assert lease_devices(1, number=1, say=said.append, sleep=lambda _: other.communicate()) == {}
    assert said == ["waiting for 1 of the GPUs 1 to be free\n"]
    assert trainings("0,1", count=2).stderr.readline() == "waiting for 2 of the GPUs 0, 1 to be free\n"


@pytest.mark.parametrize("count", [0, 1, 2])
def test_what_a_scheduler_has_bound_is_not_leased(box: Path, monkeypatch, count: int):
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(count))))
    assert lease_devices(count) == {}
    assert not (box / ".locks").exists()


def test_a_job_that_sees_more_than_a_training_takes_shares_them_out_within_itself(box: Path, monkeypatch, trainings):
    monkeypatch.setenv("PBS_JOBID", "7.head")
    assert {seen(trainings("0,1")), seen(trainings("0,1"))} == {"0", "1"}
    monkeypatch.setenv("PBS_JOBID", "8.head")
    assert seen(trainings("0,1")) == "0"


@pytest.mark.parametrize(
    ("count", "number", "asked"), [(3, None, "3 for each training is asked for"), (1, 2, "number 2 is asked for")]
)
def test_more_than_there_are_is_refused(box: Path, monkeypatch, count: int, number: int | None, asked: str):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    with pytest.raises(NervelabError, match=f"^the GPUs here are 0, 1, and {asked}: "):
        lease_devices(count, number)


@pytest.mark.parametrize(
    ("device", "gpus", "shown"), [("cuda", 2, "1,2"), ("cuda", 1, "1"), ("cuda:2", 1, "0,1,2"), ("cpu", 0, "0,1,2")]
)
def test_a_trainer_is_shown_what_was_leased_for_it(
    box: Path, monkeypatch, trainings, device: str, gpus: int, shown: str
):
    seen(trainings("0"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2")
    monkeypatch.setattr("nervelab.build.trainer.trainer", lambda *_, **__: (["trainer"], box))
    became = []
    monkeypatch.setattr(cli.os, "execve", lambda _, command, environment: became.append((command, environment)))
    cli.train([Path("plans/a.json")], Path("runs/laptop"), device=device, gpus=gpus)
    ((command, environment),) = became
    assert command == ["trainer"]
    assert environment["CUDA_VISIBLE_DEVICES"] == shown
