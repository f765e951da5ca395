"""Ten kills at random moments, each followed by one command, end in the files of a build that was left alone."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time

import psutil
import pytest
from project import Project

# What is killed: (words of its command line, what starts the build, the one command that follows).
TRAINER = ("nervelab.training", "nervelab build", "nervelab build")
SNAKEMAKE = ("snakemake", "nervelab build", "nervelab build")
PLAIN_SNAKEMAKE = ("snakemake", "snakemake", "nervelab build")
DVC = ("dvc repro", "dvc repro", "nervelab repro")
KILLS = [
    (TRAINER, signal.SIGKILL),
    (SNAKEMAKE, signal.SIGKILL),
    (DVC, signal.SIGKILL),
    (TRAINER, signal.SIGTERM),
    (SNAKEMAKE, signal.SIGTERM),
    (DVC, signal.SIGTERM),
    (TRAINER, signal.SIGINT),
    (PLAIN_SNAKEMAKE, signal.SIGINT),
    (DVC, signal.SIGINT),
    (PLAIN_SNAKEMAKE, signal.SIGKILL),
]


def processes(project: Project, words: str) -> list[psutil.Process]:
    """The live processes in the project's folder whose command line holds `words`, oldest first."""
    found = []
    for process in psutil.process_iter():
        try:
            line = " ".join(process.cmdline()).replace("/bin/", " ")
            if process.cwd() == str(project.folder) and words in line and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return sorted(found, key=psutil.Process.create_time)


def awaited(project: Project, words: str, build: subprocess.Popen) -> psutil.Process:
    """The first live process of that kind, as soon as there is one."""
    end = time.monotonic() + 60
    while not (found := processes(project, words)):
        assert build.poll() is None, f"the build ended before {words} was seen"
        assert time.monotonic() < end
        time.sleep(0.01)
    return found[0]


def forget_two_runs(project: Project) -> None:
    for name in sorted(project.run_times())[:2]:
        shutil.rmtree(project.folder / "runs" / "laptop" / name)


@pytest.mark.parametrize("number", range(len(KILLS)))
def test_ten_kills_end_in_the_same_files(built: Project, number: int, record_property):
    (words, start, after), sent = KILLS[number]
    whole = built.results()
    moment = random.Random(number).uniform(0.0, 2.5)
    record_property("kill", f"{sent.name} to {words} {moment:.3f} s after it started")
    forget_two_runs(built)
    build = built.start(start)
    victim = awaited(built, words, build)
    time.sleep(moment)
    assert victim.is_running(), f"{words} had ended after {moment:.3f} s"
    victim.send_signal(sent)
    if words != "nervelab.training":
        build.wait(timeout=120)
    built.run(after)
    build.wait(timeout=120)
    built.run("nervelab check")
    assert built.results() == whole, f"{sent.name} to {words} after {moment:.3f} s"
    assert built.snakemake_is_clean()
    assert words != "dvc repro" or built.dvc_is_clean()
    assert not list((built.folder / ".checkpoints").glob("*"))


def test_two_builds_in_one_folder_wait_for_each_other(built: Project):
    whole = built.results()
    forget_two_runs(built)
    both = [built.start("nervelab build") for _ in range(2)]
    assert [each.wait(timeout=180) for each in both] == [0, 0]
    assert built.results() == whole


def test_a_build_that_is_interrupted_stops_its_trainings_and_goes_on_from_their_checkpoints(built: Project):
    """Without being told, Snakemake would wait for trainings that take minutes."""
    built.edit("params.yaml", "steps: 20", "steps: 100000")
    build = built.start("nervelab build trained", stderr=subprocess.PIPE, text=True)
    progress = built.folder / ".checkpoints"
    end = time.monotonic() + 60
    while not list(progress.glob("*/progress.json")):
        assert time.monotonic() < end
        time.sleep(0.05)
    build.send_signal(signal.SIGINT)
    _, said = build.communicate(timeout=30)
    assert build.returncode == 2
    assert "stopped by SIGINT" in said
    assert not processes(built, "nervelab.training")
    assert list(progress.glob("*/state.pt"))


def test_a_training_that_outlives_its_snakemake_is_kept(built: Project):
    forget_two_runs(built)
    build = built.start("snakemake")
    trainer = awaited(built, "nervelab.training", build)
    os.kill(build.pid, signal.SIGKILL)
    build.wait()
    trainer.wait(timeout=60)
    end = time.monotonic() + 60
    while processes(built, "nervelab.training"):
        assert time.monotonic() < end
        time.sleep(0.05)
    before = built.run_times()
    assert len(before) == 4
    built.run("nervelab build")
    assert built.run_times() == before
