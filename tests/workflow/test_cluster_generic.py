"""The profile for any submit command: jobs in the background, which fail, are cancelled, or outlive their Snakemake."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.paced import PATIENCE, held_at, processes
from tests.support.project import ROOT, Project

PROFILE = "workflow/profiles/cluster-generic"
TRAINER = r"nervelab\.training "
# Between two looks at a job as little time as may be: what is waited for is on this machine.
BUILD = f"snakemake --profile {PROFILE} --seconds-between-status-checks 1 --latency-wait 5"


class Queue:
    """The three scripts, in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def call(self, script: str, *words: str) -> str:
        """What a script prints."""
        command = [f"./{PROFILE}/{script}", *words]
        return subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=True).stdout.strip()

    def submit(self, script: str) -> str:
        """Start a job of these lines; returns its id."""
        path = self.folder / "jobscript"
        path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        said = self.call("submit", "train", "1", "2000", "60", "0", str(path))
        path.unlink()  # as Snakemake does when it ends
        return said

    def status(self, id: str) -> str:
        """The state of a job."""
        return self.call("status", id)

    def jobs(self, rule: str = "train*") -> list[str]:
        """The ids of all jobs of these rules that were ever submitted."""
        return sorted(path.name for path in (self.folder / ".snakemake" / "jobs").glob(f"{rule}-*"))


@pytest.fixture
def queue(tmp_path: Path) -> Queue:
    """The scripts in an empty folder."""
    shutil.copytree(ROOT / PROFILE, tmp_path / PROFILE)
    return Queue(tmp_path)


def until(reached: Callable[[], object]) -> None:
    """Wait for something that will be so."""
    end = time.monotonic() + PATIENCE
    while not reached():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.05)


def forget(project: Project, count: int) -> None:
    """Delete some of the runs, and what was rendered of them."""
    for name in sorted(project.run_times())[:count]:
        shutil.rmtree(project.folder / "runs" / "laptop" / name)


@pytest.mark.parametrize(("script", "state"), [("exit 0 || exit 1", "success"), ("false || exit 1", "failed")])
def test_a_job_ends_as_its_script_does(queue: Queue, script: str, state: str):
    id = queue.submit(f"while [ ! -e go ]; do sleep 0.1; done; {script}")
    assert queue.status(id) == "running"
    (queue.folder / "go").touch()
    until(lambda: queue.status(id) != "running")
    assert queue.status(id) == state


def test_an_unknown_job_and_one_whose_number_is_anothers_have_failed(queue: Queue):
    assert queue.status("train-nobody") == "failed"
    old = queue.folder / ".snakemake" / "jobs" / "train-old"
    old.mkdir(parents=True)
    (old / "began").write_text(f"{os.getpid()} 1\n")  # of before the machine was started again
    assert queue.status("train-old") == "failed"
    queue.call("cancel", "train-old", "train-nobody")


def test_a_job_that_was_killed_has_failed_though_nobody_has_buried_it(queue: Queue):
    killed = subprocess.Popen(["sleep", "3600"])
    job = queue.folder / ".snakemake" / "jobs" / "train-killed"
    job.mkdir(parents=True)
    stat = Path(f"/proc/{killed.pid}/stat")
    (job / "began").write_text(f"{killed.pid} {stat.read_text().split()[21]}\n")
    assert queue.status("train-killed") == "running"
    killed.kill()
    until(lambda: stat.read_text().split()[2] == "Z")
    assert queue.status("train-killed") == "failed"
    killed.wait()


def test_a_cancelled_job_is_told_to_end_and_has_the_time(queue: Queue):
    trainer = "sh -c 'trap \"sleep 1; touch saved; exit 143\" TERM; touch trains; while :; do sleep 0.1; done'"
    id = queue.submit(f"{trainer} || exit 1")
    until((queue.folder / "trains").exists)
    queue.call("cancel", id)
    until(lambda: queue.status(id) != "running")
    assert queue.status(id) == "failed"
    assert (queue.folder / "saved").exists()


def test_what_does_not_end_when_told_to_is_killed(queue: Queue):
    cancel = queue.folder / PROFILE / "cancel"
    text = cancel.read_text()
    assert "seconds=60\n" in text
    cancel.write_text(text.replace("seconds=60\n", "seconds=1\n"))
    id = queue.submit("trap '' TERM; touch trains; while :; do sleep 0.1; done")
    until((queue.folder / "trains").exists)
    queue.call("cancel", id)
    until(lambda: queue.status(id) != "running")
    assert queue.status(id) == "failed"


@pytest.mark.slow
def test_a_whole_study_gives_the_same_files(template: Project, tmp_path: Path):
    project = template.clone(tmp_path / "project")
    for name in ("runs", "results", "aggregates", "plans", "data"):
        shutil.rmtree(project.folder / name, ignore_errors=True)
    project.run(BUILD)
    assert project.results() == template.results()
    assert len(Queue(project.folder).jobs()) == 1  # small trainings share a job
    assert project.snakemake_is_clean()
    assert not processes(project, "snakemake|nervelab")


@pytest.mark.slow
def test_a_job_that_fails_once_is_submitted_again(built: Project):
    whole = built.results()
    forget(built, 1)
    build = built.start(BUILD)
    until(lambda: processes(built, TRAINER))
    processes(built, TRAINER)[0].kill()
    assert build.wait(timeout=PATIENCE) == 0
    assert len(Queue(built.folder).jobs()) == 2
    assert built.results() == whole


@pytest.mark.slow
def test_a_job_that_is_cancelled_saves_and_is_submitted_again(built: Project):
    whole, queue = built.results(), Queue(built.folder)
    forget(built, 1)
    build = built.start(f"{BUILD} --config checkpoint_seconds=0")
    until(lambda: processes(built, TRAINER))
    (trainer,) = processes(built, TRAINER)
    assert held_at(trainer, lambda: list((built.folder / ".checkpoints").glob("*/state.pt")))
    (first,) = queue.jobs()
    queue.call("cancel", first)
    assert queue.status(first) == "running"
    trainer.resume()
    assert build.wait(timeout=PATIENCE) == 0
    assert queue.status(first) == "failed"
    assert len(queue.jobs()) == 2
    assert built.results() == whole


def test_an_interrupt_cancels_the_jobs_which_save(built: Project):
    built.edit("params.yaml", "steps: 20", "steps: 100000")
    build = built.start(f"{BUILD} trained", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until(lambda: list((built.folder / ".checkpoints").glob("*/progress.json")))
    build.send_signal(signal.SIGINT)
    assert build.wait(timeout=PATIENCE) != 0
    until(lambda: not processes(built, "nervelab|snakemake"))
    assert list((built.folder / ".checkpoints").glob("*/state.pt"))
    assert not list((built.folder / ".snakemake" / "jobs").glob("*/*.part"))


def written(project: Project) -> dict[Path, int]:
    """Which file each file of each run is: one that is written again is another, one that is touched is not."""
    return {path: path.stat().st_ino for path in (project.folder / "runs" / "laptop").glob("*/*")}


@pytest.mark.slow
def test_the_jobs_of_a_killed_snakemake_go_on_and_each_run_is_trained_once(built: Project):
    """They are submitted again, and the second job, of two runs here, waits for the first at each."""
    whole, queue = built.results(), Queue(built.folder)
    forget(built, 2)
    build = built.start(BUILD)
    until(lambda: processes(built, TRAINER))
    (trainer,) = processes(built, TRAINER)
    trainer.suspend()
    os.kill(build.pid, signal.SIGKILL)
    build.wait()
    again = built.start("nervelab build --profile cluster-generic")
    until(lambda: len(processes(built, TRAINER)) == 2)
    assert len(built.runs()) == 2
    trainer.resume()
    until(lambda: len(built.runs()) == 4)
    first = written(built)
    assert again.wait(timeout=PATIENCE) == 0
    assert written(built) == first
    assert built.results() == whole
    assert [queue.status(id) for id in queue.jobs()] == ["success"] * 2
