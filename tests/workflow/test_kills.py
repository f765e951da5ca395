"""Whatever is killed at whatever moment, one command later the files are those of a build that was left alone."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.support.paced import PATIENCE, awaited, held_at, line, processes, waits_for_a_lock
from tests.support.project import Project

# Processes by what their command line says.
TRAINER = r"nervelab\.training "
SNAKEMAKE = r"snakemake( |$)"
BUILD = r"nervelab(\.cli)? build"
DVC = r"dvc repro"
# What is not one process: everything that shares the build's process group, and all that it has started.
GROUP, ALL = "group", "all"

# What is missing before the build: the part of the work that is done again.
RUNS = ("runs",)
DATA = ("data",)
RENDERED = ("results", "aggregates")
EVERYTHING = ("runs", "data", "results", "aggregates", "plans")

Reached = Callable[[], bool]


@dataclass(frozen=True)
class Moment:
    """When `walker`, which is run in slices until then, has come so far; `draw` makes the test of that."""

    walker: str
    draw: Callable[[Project, psutil.Process, random.Random], tuple[str, Reached]]
    slice: float = 0.002


def cpu(walker: str, most: float) -> Moment:
    """A process has taken a part, drawn, of `most` seconds of CPU."""

    def draw(_: Project, process: psutil.Process, rng: random.Random) -> tuple[str, Reached]:
        seconds = rng.uniform(0.0, most)
        return f"after {seconds:.2f} s of its CPU time", lambda: sum(process.cpu_times()[:2]) >= seconds

    return Moment(walker, draw)


def files(walker: str, pattern: str, most: int) -> Moment:
    """At least so many whole files, a number drawn up to `most`, are there."""

    def draw(project: Project, process: psutil.Process, rng: random.Random) -> tuple[str, Reached]:
        wanted = rng.randint(1, most)
        folder = Path(_option(process, "--out") or ".") if "{out}" in pattern else Path()
        names = pattern.replace("{out}/", "")

        def reached() -> bool:
            found = (project.folder / folder).glob(names)
            return sum(not path.name.startswith(".") for path in found) >= wanted

        return f"once {wanted} of {pattern} are there", reached

    return Moment(walker, draw)


def half_written(walker: str, pattern: str, most: int) -> Moment:
    """A file that is being written, the n-th that is met, a number drawn up to `most`."""

    def draw(project: Project, _: psutil.Process, rng: random.Random) -> tuple[str, Reached]:
        wanted, met = rng.randint(1, most), set()

        def reached() -> bool:
            now = {path.name for path in project.folder.glob(pattern)}
            met.update(now)
            return bool(now) and len(met) >= wanted

        return f"in the midst of half-written file {wanted} of {pattern}", reached

    return Moment(walker, draw, slice=0.0003)


def _option(process: psutil.Process, name: str) -> str | None:
    words = process.cmdline()
    return words[words.index(name) + 1] if name in words else None


def job(verb: str) -> str:
    """A job of the workflow, by its verb."""
    return rf"nervelab(\.cli)? {verb}\b"


LOADING = cpu(TRAINER, 1.5)
CHECKPOINT = half_written(TRAINER, ".checkpoints/*/.state.pt.*.part", 2)
WRITING_RUN = files(TRAINER, "{out}/*", 7)
CORPUS = files(job("corpus"), "data/corpora/**/*.*", 2)
TOKENS = files(job("tokens"), "data/tokens/*/*", 4)
PLANS = cpu(job("plan"), 0.8)
INDEX = cpu(job("index"), 0.8)
AGGREGATE = files(job("aggregate"), "aggregates/*/*.parquet", 4)
ANALYSE = files(job("analyse"), "results/tables/*.csv", 15)
REPORT = files(job("report"), "results/figures/*.svg", 6)
OWN_SNAKEMAKE = cpu(SNAKEMAKE, 1.5)
OWN_DVC = cpu(DVC, 2.0)

OFTEN = "snakemake --config checkpoint_seconds=0"
KILL, TERM, INT = signal.SIGKILL, signal.SIGTERM, signal.SIGINT
# (signal, who gets it, when, what is missing before, what starts the build)
KILLS = {
    "SIGKILL-trainer-that-loads": (KILL, TRAINER, LOADING, RUNS, "nervelab build"),
    "SIGTERM-trainer-that-loads": (TERM, TRAINER, LOADING, RUNS, "nervelab build"),
    "SIGINT-trainer-that-loads": (INT, TRAINER, LOADING, RUNS, "dvc repro"),
    "SIGKILL-trainer-in-a-checkpoint": (KILL, TRAINER, CHECKPOINT, RUNS, OFTEN),
    "SIGTERM-trainer-in-a-checkpoint": (TERM, TRAINER, CHECKPOINT, RUNS, OFTEN),
    "SIGINT-trainer-in-a-checkpoint": (INT, TRAINER, CHECKPOINT, RUNS, OFTEN),
    "SIGKILL-trainer-between-two-files-of-its-run": (KILL, TRAINER, WRITING_RUN, RUNS, "nervelab build"),
    "SIGTERM-trainer-between-two-files-of-its-run": (TERM, TRAINER, WRITING_RUN, RUNS, "snakemake"),
    "SIGINT-trainer-between-two-files-of-its-run": (INT, TRAINER, WRITING_RUN, RUNS, "nervelab build"),
    "SIGKILL-snakemake-in-the-plans": (KILL, SNAKEMAKE, PLANS, EVERYTHING, "nervelab build"),
    "SIGKILL-snakemake-in-the-corpus": (KILL, SNAKEMAKE, CORPUS, DATA, "nervelab build"),
    "SIGTERM-snakemake-in-the-tokens": (TERM, SNAKEMAKE, TOKENS, DATA, "snakemake"),
    "SIGINT-snakemake-in-a-training": (INT, SNAKEMAKE, WRITING_RUN, RUNS, "snakemake"),
    "SIGKILL-snakemake-in-a-checkpoint": (KILL, SNAKEMAKE, CHECKPOINT, RUNS, OFTEN),
    "SIGKILL-snakemake-in-aggregate": (KILL, SNAKEMAKE, AGGREGATE, RENDERED, "snakemake"),
    "SIGTERM-snakemake-in-report": (TERM, SNAKEMAKE, REPORT, RENDERED, "nervelab build"),
    "SIGINT-snakemake-in-analyse": (INT, SNAKEMAKE, ANALYSE, RENDERED, "snakemake"),
    "SIGTERM-snakemake-in-its-own-work": (TERM, SNAKEMAKE, OWN_SNAKEMAKE, RUNS, "nervelab build"),
    "SIGKILL-build-in-a-training": (KILL, BUILD, WRITING_RUN, RUNS, "nervelab build"),
    "SIGINT-build-in-the-index": (INT, BUILD, INDEX, RENDERED, "nervelab build"),
    "SIGKILL-dvc-in-a-training": (KILL, DVC, LOADING, RUNS, "dvc repro"),
    "SIGTERM-dvc-in-aggregate": (TERM, DVC, AGGREGATE, RENDERED, "dvc repro"),
    "SIGINT-dvc-in-the-corpus": (INT, DVC, CORPUS, DATA, "dvc repro"),
    "SIGKILL-dvc-in-its-own-work": (KILL, DVC, OWN_DVC, RENDERED, "dvc repro"),
    "SIGTERM-dvc-in-its-own-work": (TERM, DVC, OWN_DVC, RUNS, "dvc repro"),
    "SIGKILL-group-of-snakemake-in-report": (KILL, GROUP, REPORT, RENDERED, "snakemake"),
    "SIGINT-group-of-snakemake-in-a-checkpoint": (INT, GROUP, CHECKPOINT, RUNS, OFTEN),
    "SIGTERM-group-of-dvc-in-the-tokens": (TERM, GROUP, TOKENS, DATA, "dvc repro"),
    "SIGKILL-group-of-dvc-in-analyse": (KILL, GROUP, ANALYSE, RENDERED, "dvc repro"),
    "SIGKILL-all-of-a-build-from-nothing": (KILL, ALL, WRITING_RUN, EVERYTHING, "nervelab build"),
}
QUICK = {
    "SIGKILL-trainer-between-two-files-of-its-run",
    "SIGINT-snakemake-in-analyse",
    "SIGTERM-dvc-in-aggregate",
}
TRIES = 5


@pytest.mark.parametrize(
    ("number", "name"),
    [
        pytest.param(number, name, id=name, marks=() if name in QUICK else pytest.mark.slow)
        for number, name in enumerate(KILLS)
    ],
)
def test_a_kill_and_one_command_end_in_the_same_files(
    built: Project, number: int, name: str, record_property: Callable[[str, object], None]
):
    sent, victim, moment, missing, start = KILLS[name]
    whole = built.results()
    for attempt in range(TRIES):
        seed = f"{number}.{attempt}"
        forget(built, missing)
        build = built.start(start)
        when = killed(built, build, moment, victim, sent, random.Random(seed))
        story = f"{sent.name} to {victim} {when} (seed {seed})"
        record_property("kill", story)
        if victim != TRAINER or not start.startswith("nervelab"):
            build.wait(timeout=PATIENCE)
        built.run("nervelab repro" if start.startswith("dvc") else "nervelab build")
        build.wait(timeout=PATIENCE)
        built.run("nervelab check")
        assert built.results() == whole, story
        assert built.snakemake_is_clean(), story
        assert not start.startswith("dvc") or built.dvc_is_clean(), story
        assert not list((built.folder / ".checkpoints").glob("*")), story
        assert not processes(built, "nervelab|snakemake"), story
        assert not [path for path in built.folder.rglob("*.part") if ".git" not in path.parts], story
        if when is not None:
            return
    pytest.fail(f"in {TRIES} builds {name} came too late each time: there was nothing left to kill")


def forget(project: Project, missing: tuple[str, ...]) -> None:
    """Delete what is to be made again: whole folders, but of the runs two of the four where they alone are meant."""
    for name in missing:
        if missing == RUNS:
            for run in sorted(project.run_times())[:2]:
                shutil.rmtree(project.folder / "runs" / "laptop" / run)
        elif (project.folder / name).exists():
            shutil.rmtree(project.folder / name)


def killed(
    project: Project, build: subprocess.Popen, moment: Moment, victim: str, sent: int, rng: random.Random
) -> str | None:
    """Send a signal at a moment drawn by `rng`. Returns what the moment was, or None where the build was past it."""
    walker = awaited(build, moment.walker)
    if walker is None:
        return None
    try:
        when, reached = moment.draw(project, walker, rng)
    except psutil.NoSuchProcess:
        return None
    if not held_at(walker, reached, moment.slice):
        return None
    # While the walker stands still, whatever waits for it is alive.
    if victim == GROUP:
        os.killpg(build.pid, sent)
    else:
        for process in _victims(build, walker, victim):
            process.send_signal(sent)
    with suppress(psutil.NoSuchProcess):
        walker.resume()
    return when


def _victims(build: subprocess.Popen, walker: psutil.Process, victim: str) -> list[psutil.Process]:
    root = psutil.Process(build.pid)
    if victim == ALL:
        return [root, *root.children(recursive=True)]
    above = [process for process in (walker, *walker.parents()) if re.search(victim, line(process))]
    assert above, f"nothing above {walker} is {victim}"
    return above[:1]


def test_two_builds_in_one_folder_wait_for_each_other(built: Project):
    whole = built.results()
    forget(built, RUNS)
    both = [built.start("nervelab build") for _ in range(2)]
    assert [each.wait(timeout=PATIENCE) for each in both] == [0, 0]
    assert built.results() == whole


def test_a_build_that_is_interrupted_stops_its_trainings_and_goes_on_from_their_checkpoints(built: Project):
    """Without being told, Snakemake would wait for trainings that take minutes."""
    built.edit("params.yaml", "steps: 20", "steps: 100000")
    build = built.start("nervelab build trained", stderr=subprocess.PIPE, text=True)
    progress = built.folder / ".checkpoints"
    end = time.monotonic() + PATIENCE
    while not list(progress.glob("*/progress.json")):
        assert time.monotonic() < end
        time.sleep(0.05)
    build.send_signal(signal.SIGINT)
    _, said = build.communicate(timeout=PATIENCE)
    assert build.returncode == 2
    assert "stopped by SIGINT" in said
    assert not processes(built, TRAINER)
    assert list(progress.glob("*/state.pt"))


def test_a_training_that_outlives_its_snakemake_is_kept(built: Project):
    forget(built, RUNS)
    build = built.start("snakemake")
    trainer = awaited(build, TRAINER)
    os.kill(build.pid, signal.SIGKILL)
    build.wait()
    trainer.wait(timeout=PATIENCE)
    end = time.monotonic() + PATIENCE
    while processes(built, TRAINER):
        assert time.monotonic() < end
        time.sleep(0.05)
    before = built.run_times()
    assert len(before) == 4
    built.run("nervelab build")
    assert built.run_times() == before


ORPHANS = {"corpus": (CORPUS, DATA), "tokens": (TOKENS, DATA), "report": (REPORT, RENDERED)}


@pytest.mark.slow
@pytest.mark.parametrize("verb", ORPHANS)
def test_a_job_that_outlives_its_snakemake_is_waited_for_by_its_successor(built: Project, verb: str):
    moment, missing = ORPHANS[verb]
    whole = built.results()
    forget(built, missing)
    build = built.start("snakemake")
    orphan = awaited(build, moment.walker)
    _, reached = moment.draw(built, orphan, random.Random(verb))
    assert held_at(orphan, reached, moment.slice)
    os.kill(build.pid, signal.SIGKILL)
    build.wait()
    after = built.start("nervelab build")
    successor = awaited(after, moment.walker)
    while not waits_for_a_lock(successor):
        assert successor.is_running(), f"{verb} was done beside the one that had outlived its Snakemake"
        time.sleep(0.05)
    orphan.resume()
    assert after.wait(timeout=PATIENCE) == 0
    built.run("nervelab check")
    assert built.results() == whole
    assert built.snakemake_is_clean()
