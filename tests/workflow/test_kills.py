"""Ten kills at random moments, each followed by one command, end in the files of a build that was left alone."""

from __future__ import annotations

import random
import shutil
import signal
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


def forget_two_runs(project: Project) -> None:
    for name in sorted(project.run_times())[:2]:
        shutil.rmtree(project.folder / "runs" / "laptop" / name)


@pytest.mark.parametrize("half", [0, 1])
def test_ten_kills_end_in_the_same_files(built: Project, half: int, record_property):
    whole = built.results()
    moments = random.Random(half)
    for number in range(5 * half, 5 * half + 5):
        (words, start, after), sent = KILLS[number]
        forget_two_runs(built)
        build = built.start(start)
        end = time.monotonic() + 60
        while not processes(built, words):
            assert build.poll() is None, f"{start} ended before {words} was seen"
            assert time.monotonic() < end
            time.sleep(0.01)
        moment = moments.uniform(0.0, 4.0)
        record_property(f"kill {number}", f"{sent.name} to {words} {moment:.3f} s after it started")
        time.sleep(moment)
        victims = processes(built, words)
        if victims:
            victims[0].send_signal(sent)
        if words != "nervelab.training":
            build.wait(timeout=120)
        built.run(after)
        build.wait(timeout=120)
        assert built.results() == whole, f"kill {number}: {sent.name} to {words} after {moment:.3f} s"
    built.run("nervelab repro")
    assert built.dvc_is_clean()
    assert built.snakemake_is_clean()
    assert not list((built.folder / ".checkpoints").glob("*"))


def test_two_builds_in_one_folder_wait_for_each_other(built: Project):
    whole = built.results()
    forget_two_runs(built)
    both = [built.start("nervelab build") for _ in range(2)]
    assert [each.wait(timeout=180) for each in both] == [0, 0]
    assert built.results() == whole
