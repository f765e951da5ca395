"""What Slurm's queue says of a job; outside of a cluster it says nothing."""

from __future__ import annotations

import os
import subprocess

JOB = "SLURM_JOB_ID"
_PATIENCE = 30.0  # seconds in which a queue answers


def told(job: str, form: str) -> str | None:
    """What squeue prints of a job in the format `form` (`%T` its state, `%L` the time that is left to it).

    Returns an empty text where the queue does not know the job, and None where no queue answers.
    """
    return _answered(job, ["-o", f"%A {form}"])


def restarts(job: str) -> int:
    """How often a job was requeued, 0 where no queue tells; a variable that Slurm has for it reaches no step."""
    said = _answered(job, ["-O", "JobID:20,RestartCnt:10"]) or ""
    return int(said) if said.isdecimal() else 0


def _answered(job: str, columns: list[str]) -> str | None:
    """What squeue prints of a job after its number."""
    if not job.isdecimal():
        return None
    # What a person has set for their own view of the queue could hide a job that lives.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SQUEUE_")}
    command = ["squeue", "--noheader", "--states=all", "-j", job, *columns]
    try:
        answer = subprocess.run(
            command, capture_output=True, encoding="utf-8", errors="replace", env=kept, timeout=_PATIENCE, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    if answer.returncode != 0:
        return "" if "Invalid job id specified" in answer.stderr else None
    # Of an array, a task of which may have its number, every task is listed.
    lines = (line.split(maxsplit=1) for line in answer.stdout.splitlines())
    return next((words[1].strip() for words in lines if len(words) == 2 and words[0] == job), "")
