"""Running Snakemake on a target, or DVC on its stages."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from rich.console import Console

from nervelab.build.asked import handed_on
from nervelab.build.locks import clear_dvc_lock, clear_snakemake_locks, sole_build
from nervelab.build.places import refuse_unusable_places
from nervelab.build.profiles import read_profile
from nervelab.build.progress import View
from nervelab.build.reasons import LOG, reason
from nervelab.build.supervise import STUCK, await_left_jobs, supervise
from nervelab.errors import NervelabError
from nervelab.stages.chain import CORPUS, TOKENS
from nervelab.stages.targets import Targets

_STARTS = 3  # of Snakemake, where the queue loses the jobs that it waits for


def build(target: str, scale: str | None, only: str | None, console: Console, *, profile: str | None = None) -> None:
    """Make `target` by Snakemake, showing progress, by a `profile`: its name in workflow/profiles, or its path.

    Raises:
        NervelabError: bad input, or a job failed; the sentence is the job's own where it said one.
    """
    refuse_unusable_places()
    used = read_profile(profile)
    targets = Targets.of(scale, only)
    with sole_build(console.print) as lock:
        command = [sys.executable, "-P", "-m", "snakemake", target, "--show-failed-logs", "--nocolor", *used.options]
        LOG.parent.mkdir(exist_ok=True)
        with (
            LOG.open("w", encoding="utf-8") as log,
            View(console, targets, data_alone=target in (CORPUS.target, TOKENS.target)) as view,
        ):
            command += ["--max-jobs-per-timespan", f"300/{_timespan(view.left)}s"]
            environment = {**os.environ, **handed_on(scale, only)}
            for _ in range(_STARTS):
                _clear_what_a_killed_build_left(console)
                status = supervise(command, log, environment, lock, view, console.print, submits=used.submits)
                if status != STUCK:
                    break
        said = LOG.read_text(encoding="utf-8", errors="replace")
    if status == STUCK:
        raise NervelabError(
            f"the queue lost the jobs of this build {_STARTS} times: see what {LOG} says of them, and try again."
        )
    if status > 128:
        raise NervelabError(
            f"stopped by {signal.Signals(status - 128).name}; the same command goes on from the checkpoints."
        )
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
        _clear_what_a_killed_build_left(console)
        clear_dvc_lock(console.print)
    # The lock is free again here, because every stage takes it.
    return subprocess.run([sys.executable, "-P", "-m", "dvc", "repro", *arguments], check=False).returncode


def _clear_what_a_killed_build_left(console: Console) -> None:
    await_left_jobs(console.print)
    clear_snakemake_locks(console.print)


def _timespan(left: int) -> int:
    """The seconds after which Snakemake looks for jobs anew, for each job that has ended: see the default profile.

    A tenth of the trainings that are left, but 3 to 15: so it costs as little in a large study as in a small one. Its
    exit waits for as long, which a large study does not feel.
    """
    return min(max(3, left // 10), 15)
