"""Running Snakemake on a target, or DVC on its stages."""

import itertools
import math
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

import psutil
from rich.console import Console

from nervelab.build.asked import handed_on
from nervelab.build.locks import clear_dvc_lock, clear_snakemake_locks, sole_build
from nervelab.build.places import refuse_unusable_places
from nervelab.build.profiles import profile_options
from nervelab.build.progress import View
from nervelab.errors import NervelabError
from nervelab.study.targets import Targets

LOG = Path("logs/snakemake.log")
_SECONDS_BETWEEN_VIEWS = 1.0


def build(target: str, scale: str | None, only: str | None, console: Console, *, profile: str | None = None) -> None:
    """Make `target` by Snakemake, showing progress, by a `profile`: its name in workflow/profiles, or its path.

    Raises:
        NervelabError: bad input, or a job failed; the sentence is the job's own where it said one.
    """
    refuse_unusable_places()
    by_profile = profile_options(profile)
    targets = Targets.of(scale, only)
    with sole_build(console.print) as lock:
        clear_snakemake_locks(console.print)
        command = [sys.executable, "-P", "-m", "snakemake", target, "--show-failed-logs", "--nocolor", *by_profile]
        LOG.parent.mkdir(exist_ok=True)
        with (
            LOG.open("w", encoding="utf-8") as log,
            View(console, targets, data_alone=target in ("data", "tokens")) as view,
        ):
            command += ["--max-jobs-per-timespan", f"300/{_timespan(view.left)}s"]
            status = _run(command, log, {**os.environ, **handed_on(scale, only)}, lock, view)
        said = LOG.read_text(encoding="utf-8", errors="replace")
    if status != 0:
        raise NervelabError(reason(said))
    if "Nothing to be done" in said:
        console.print("nothing to be done: everything that params.yaml asks for is there")
    elif (
        target == "all"
        and scale is None
        and only is None
        and Path("dvc.lock").exists()
        and "DVC_STAGE" not in os.environ
    ):
        console.print("`dvc commit` records this build in dvc.lock")
    if target == "all":
        console.print(f"open {targets.results / 'index.html'}")


def repro(arguments: list[str], console: Console) -> int:
    """Run `dvc repro` once no other build is alive, past the lock of one that was killed. Returns its exit status."""
    refuse_unusable_places()
    with sole_build(console.print):
        clear_snakemake_locks(console.print)
        clear_dvc_lock(console.print)
    # The lock is free again here, because every stage takes it.
    return subprocess.run([sys.executable, "-P", "-m", "dvc", "repro", *arguments], check=False).returncode


def _timespan(left: int) -> int:
    """The seconds after which Snakemake looks for jobs anew, for each job that has ended: see the default profile.

    A tenth of the trainings that are left, but 3 to 15: so it costs as little in a large study as in a small one. Its
    exit waits for as long, which a large study does not feel.
    """
    return min(max(3, left // 10), 15)


def _run(command: list[str], log: IO[str], environment: dict[str, str], lock: int, view: View) -> int:
    """Run Snakemake, showing progress, and return its exit status.

    SIGTERM and SIGINT go to Snakemake and to the trainings under it: it would wait for their end, they save and stop.
    """
    asked: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: asked.append(number))
    process = subprocess.Popen(
        command, stdout=log, stderr=subprocess.STDOUT, env=environment, pass_fds=[lock], start_new_session=True
    )
    handed_on: set[int] = set()
    viewed = -math.inf
    while process.poll() is None:
        if time.monotonic() - viewed >= _SECONDS_BETWEEN_VIEWS:
            view.update()
            viewed = time.monotonic()
        if asked:
            _hand_on(asked[-1], process.pid, handed_on)
        time.sleep(0.25)
    view.update()
    return process.returncode


def _hand_on(number: int, root: int, handed_on: set[int]) -> None:
    """Send a signal, once to each, to Snakemake and to every training below it."""
    with suppress(psutil.NoSuchProcess):
        snakemake = psutil.Process(root)
        for process in (snakemake, *snakemake.children(recursive=True)):
            with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                mine = process.pid == root or "nervelab.training" in process.cmdline()
                if mine and process.pid not in handed_on:
                    process.send_signal(number)
                    handed_on.add(process.pid)


def reason(said: str) -> str:
    """The one sentence of the job that failed, or the end of its traceback, from what Snakemake printed of its log."""
    lines = [line.strip() for line in said.splitlines()]
    for mark in ("error: ", "stopped by "):
        own = [line.removeprefix("error: ") for line in lines if line.startswith(mark)]
        if own:
            return own[0]
    raised = [line for line in _failed_logs(lines) or lines if re.match(r"[\w.]*(Error|Exception|Interrupt)\b", line)]
    return f"the workflow failed ({raised[-1] if raised else 'no reason given'}): {LOG} has the whole story."


def _failed_logs(lines: list[str]) -> list[str]:
    """The lines of the jobs' own logs, which Snakemake prints between rulers after `Logfile`."""
    inside, kept = False, []
    for before, line in itertools.pairwise(lines):
        if line.startswith("====="):
            inside = not inside if inside or before.startswith("Logfile ") else inside
        elif inside:
            kept.append(line)
    return kept
