"""The Slurm of these tests is as hard on a job as a cluster is, and where it cannot be had that is said."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.slurm import rig
from tests.slurm.rig import Slurm


def ran(slurm: Slurm, folder: Path, script: str, *options: str) -> tuple[str, str]:
    """The number of a job that ran a script to its end, and what it wrote."""
    out = folder / "out"
    answer = slurm.ask("sbatch", "--wait", "--parsable", f"--output={out}", "--mem=100", *options, f"--wrap={script}")
    return answer.strip(), out.read_text(encoding="utf-8")


@pytest.mark.slurm
def test_a_job_has_the_gpu_that_it_asked_for_and_no_package_index(slurm: Slurm, tmp_path: Path):
    _, said = ran(slurm, tmp_path, "env", "--gres=gpu:1")
    assert "\nCUDA_VISIBLE_DEVICES=0\n" in f"\n{said}"
    assert "\nPIP_INDEX_URL=http://127.0.0.1:9/\n" in f"\n{said}"


@pytest.mark.slurm
def test_a_job_that_takes_more_memory_is_killed(slurm: Slurm, tmp_path: Path):
    job, _ = ran(slurm, tmp_path, "head -c 300M /dev/zero | tail")
    slurm.wait(lambda: slurm.state(job) not in ("", "RUNNING", "COMPLETING"))
    assert slurm.state(job) == "OUT_OF_MEMORY"


@pytest.mark.slurm
def test_what_a_step_has_started_is_not_told_to_stop_but_killed(slurm: Slurm, tmp_path: Path):
    """So a trainer, which Snakemake has started, never sees the SIGTERM of Slurm."""
    told, begun = tmp_path / "told", tmp_path / "begun"
    inner = tmp_path / "inner"
    inner.write_text(f"#!/bin/sh\ntrap 'touch {told}; exit' TERM\ntouch {begun}\nwhile :; do sleep 0.1; done\n")
    outer = tmp_path / "outer"
    outer.write_text(f"#!/bin/sh\ntrap : TERM\nsetsid sh {inner} &\nwait\nwait\n")
    job = slurm.run("sbatch", "--parsable", "--output=/dev/null", "--mem=100", f"--wrap=srun sh {outer}").strip()
    slurm.wait(begun.exists)
    slurm.run("scancel", job)
    slurm.wait(lambda: slurm.state(job) == "CANCELLED" and job not in slurm.queue())
    assert not told.exists()


def test_where_a_package_is_missing_the_line_that_installs_it_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(rig.shutil, "which", lambda name, path: None if name in ("slurmd", "munged") else f"/{name}")
    assert rig.why_not().endswith(f"cannot be found: {rig.APT}")
    assert rig.why_not().startswith("munged, slurmd")


@pytest.mark.parametrize(
    ("unified", "lacks"), [(True, "cpu, cpuset, memory"), (False, "cpuacct, cpuset, freezer, memory")]
)
def test_where_there_are_no_cgroups_that_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, unified: bool, lacks: str
):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(rig.shutil, "which", lambda name, path: f"/{name}")
    monkeypatch.setattr(rig, "CGROUPS", tmp_path)
    monkeypatch.setattr(rig, "_lacking_plugins", list)
    if unified:
        (tmp_path / "cgroup.controllers").write_text("pids\n")
    assert rig.why_not() == f"{tmp_path} lacks the cgroup controllers {lacks}, which Slurm's jobs need"


def test_where_no_cgroup_can_be_made_that_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(rig.shutil, "which", lambda name, path: f"/{name}")
    monkeypatch.setattr(rig, "_lacking_plugins", list)
    monkeypatch.setattr(rig, "CGROUPS", tmp_path)
    (tmp_path / "cgroup.controllers").write_text("cpu cpuset memory\n")
    (tmp_path / f"probe-{os.getpid()}").write_text("in the way")
    assert rig.why_not() == f"no cgroup can be made in {tmp_path} (File exists), which Slurm's jobs need"


def test_others_than_root_are_told(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert rig.why_not() == "Slurm's daemons need root"


def test_its_ports_are_free_ones():
    ports = rig._free_ports(4)
    assert len(set(ports)) == 4
    assert set(ports) <= set(rig.PORTS)
