"""The jobs of this folder in Slurm's queue, whoever submitted them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

# States of a job that is still to run, runs, or is about to end.
WAITING = ("PENDING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "SPECIAL_EXIT", "RESV_DEL_HOLD")
AT_WORK = ("CONFIGURING", "RUNNING", "COMPLETING", "RESIZING", "SIGNALING", "STAGE_OUT", "STOPPED", "SUSPENDED")
_FIELDS = "%i|%T|%N|%L|%Z|%k"  # id, state, nodes, time left, working folder, comment
_PATIENCE = 60.0  # seconds until a queue that does not answer counts as none


@dataclass(frozen=True)
class Job:
    """A job as the queue shows it; `left` is what its time limit leaves, as Slurm writes it."""

    id: str
    state: str
    node: str
    left: str
    comment: str

    @property
    def waits(self) -> bool:
        """Whether it has not started yet, or is to start again."""
        return self.state in WAITING

    def trains(self, run_id: str) -> bool:
        """Whether the run with this id is among those that it was submitted for."""
        return run_id in self.comment


def jobs_here(folder: Path | None = None, *, ended: bool = False) -> list[Job] | None:
    """The jobs that were submitted from a folder, by default this one; None where no queue answers.

    Args:
        folder: the folder.
        ended: also those that have ended, for as long as Slurm remembers them.
    """
    if shutil.which("squeue") is None:
        return None
    command = ["squeue", "--noheader", "--states=all", f"--user={os.getuid()}", f"--format={_FIELDS}"]
    # What a person has set for their own view of the queue could hide a job that lives.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SQUEUE_")}
    try:
        answer = subprocess.run(
            command, capture_output=True, encoding="utf-8", errors="replace", env=kept, check=True, timeout=_PATIENCE
        )
    except (OSError, subprocess.SubprocessError):
        return None
    here = (folder or Path.cwd()).resolve()
    rows = [line.split("|", 5) for line in answer.stdout.splitlines()]
    found = [Job(*row[:4], row[5]) for row in rows if len(row) == 6 and Path(row[4]).resolve() == here]
    return [job for job in found if ended or job.state in (*WAITING, *AT_WORK)]


def cancel(jobs: Iterable[Job]) -> None:
    """Cancel jobs; one that has ended meanwhile is none to cancel."""
    ids = [job.id for job in jobs]
    if ids:
        subprocess.run(["scancel", *ids], capture_output=True, check=False)


def listed(jobs: Iterable[Job]) -> str:
    """Jobs in words: the first few by their ids, and how many more there are."""
    ids = [job.id for job in jobs]
    more = len(ids) - 5
    return f"job{'s' if len(ids) > 1 else ''} {', '.join(ids[:5])}" + (f" and {more} more" if more > 0 else "")
