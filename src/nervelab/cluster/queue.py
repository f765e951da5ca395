"""The jobs of this project in Slurm's queue, whichever build submitted them."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from nervelab import slurm

_FIELDS = "%i|%T|%N|%r|%Z|%k"  # id, state, nodes, why it waits, working folder, comment
# By its comment a job of Snakemake's is told from others that were submitted from the same folder.
_OURS = re.compile(r"rule_(train|train_together|corpus|tokenise)(_wildcards_|$)")
# Why a job waits that nothing but an edit, or whoever runs the cluster, will let start.
_HOPELESS = re.compile(
    r"PartitionTimeLimit|PartitionNodeLimit|JobHeld|BadConstraints|MaxWall|InvalidAccount|InvalidQOS"
)


@dataclass(frozen=True)
class Job:
    """A job as the queue shows it; `reason` is why it waits, in Slurm's words."""

    id: str
    state: str
    node: str
    reason: str
    comment: str

    @property
    def waits(self) -> bool:
        """Whether it has not started yet, or is to start again."""
        return self.state in slurm.WAITING

    @property
    def hopeless(self) -> bool:
        """Whether it waits for what time alone does not bring."""
        return self.waits and bool(_HOPELESS.search(self.reason))

    def trains(self, run_id: str) -> bool:
        """Whether the run with this id is among those that it was submitted for."""
        return run_id in self.comment


def jobs_here() -> list[Job] | None:
    """The jobs that Snakemake submitted from this folder, and that have not ended.

    None where no queue answers. The job that this process itself belongs to is not among them.
    """
    answer = slurm.squeue(f"--user={os.getuid()}", f"--format={_FIELDS}")
    if answer is None or answer.returncode != 0:
        return None
    here, own = Path.cwd().resolve(), os.environ.get(slurm.JOB)
    rows = [line.split("|", 5) for line in answer.stdout.splitlines()]
    found = [Job(*row[:4], row[5]) for row in rows if len(row) == 6 and Path(row[4]).resolve() == here]
    return [job for job in found if job.state not in slurm.ENDED and job.id != own and _OURS.match(job.comment)]


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
