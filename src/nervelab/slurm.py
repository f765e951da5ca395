"""What Slurm's queue says of jobs; outside of a cluster it says nothing."""

from __future__ import annotations

import os
import subprocess

JOB = "SLURM_JOB_ID"
# States of a job none of whose processes lives, and of one that waits for a machine, as a requeued one does. The
# others, among them COMPLETING, and what a later Slurm may add, are of jobs that live.
ENDED = {"BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED"}
ENDED |= {"REVOKED", "TIMEOUT"}
WAITING = {"PENDING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESV_DEL_HOLD", "SPECIAL_EXIT"}
_PATIENCE = 30.0  # seconds in which a queue answers


def squeue(*arguments: str) -> subprocess.CompletedProcess[str] | None:
    """What squeue answers, of jobs in every state; None where there is none, or it does not answer in time."""
    # What a person has set for their own view of the queue could hide a job that lives.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SQUEUE_")}
    command = ["squeue", "--noheader", "--states=all", *arguments]
    try:
        return subprocess.run(
            command, capture_output=True, encoding="utf-8", errors="replace", env=kept, timeout=_PATIENCE, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None


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
    answer = squeue("-j", job, *columns)
    if answer is None:
        return None
    if answer.returncode != 0:
        return "" if "Invalid job id specified" in answer.stderr else None
    # Of an array, a task of which may have its number, every task is listed.
    lines = (line.split(maxsplit=1) for line in answer.stdout.splitlines())
    return next((words[1].strip() for words in lines if len(words) == 2 and words[0] == job), "")
