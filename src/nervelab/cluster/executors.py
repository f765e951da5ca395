"""Executors of a cluster that tell why a job ended, and take no stop for a failure.

Snakemake's plugins are mended from outside, in what they report; which versions this was written for, pyproject.toml
says. A training that was only stopped (by its time limit, by another job's precedence, with its node) and whose
checkpoint moved on since it was submitted goes on in a new job, at the cost of none of its retries.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from nervelab import layout
from nervelab.cluster.endings import Ending, ending, saved_steps
from nervelab.stages.jobs import Jobs

TRAINING_RULES = ("train", "train_together")
SLURM = "snakemake_executor_plugin_slurm"
# States that the plugin takes for no end, and waits on for ever: Slurm may requeue such a job, and then says PENDING.
_NO_END = ("PREEMPTED", "NODE_FAIL")
_GONE = "GONE"
_ANSWERS = 2  # so many answers of the queue in a row say it, before it is taken for the end


class Ends:
    """Slurm's states of jobs, told so that the plugin takes an end for one; `true` keeps what Slurm said."""

    def __init__(self) -> None:
        self.true: dict[str, str] = {}
        self._seen: set[str] = set()
        self._said: dict[str, int] = {}

    def told(self, states: dict[str, str]) -> dict[str, str]:
        """The states of one answer of the queue, by job id, as the plugin understands them."""
        told = {id: state.split()[0].rstrip("+") for id, state in states.items() if state}  # "CANCELLED by 0"
        told |= dict.fromkeys(self._seen - told.keys(), _GONE)
        self._seen |= states.keys()
        for id, state in told.items():
            known = state in (*_NO_END, _GONE)
            self._said[id] = self._said.get(id, 0) + 1 if known else 0
            self.true[id] = state
            if known:
                told[id] = "CANCELLED" if self._said[id] >= _ANSWERS else "RUNNING"
        return told


def mend(plugin: Any, jobs: Jobs) -> None:
    """Have the executor of a plugin for jobs on a cluster report as this module says.

    The plugin itself is changed, as Snakemake has handed it on already when it tells the workflow of it.
    """
    ends = Ends()
    if plugin.executor.__module__ == SLURM:
        _mend_queries(sys.modules[SLURM], ends)
    plugin.executor = patient(plugin.executor, jobs, ends)


def _mend_queries(module: Any, ends: Ends) -> None:
    query = module.query_job_status

    async def told(command: str, logger: Any) -> tuple[dict[str, str] | None, float | None]:
        states, seconds = await query(command, logger)
        return (states if states is None else ends.told(states)), seconds

    module.query_job_status = told


def patient(executor: type, jobs: Jobs, ends: Ends) -> type:
    """The executor, reporting why a training's job ended, and sparing its retries where it was only stopped."""

    class Patient(executor):
        """Reports the end of a job as one sentence."""

        def run_job(self, job: Any) -> None:
            """Submit it; what its runs said in an earlier job is no reason why this one ended."""
            if _trains(job):
                for run in _runs(job, jobs):
                    Path("logs", f"{run}.log").unlink(missing_ok=True)
            super().run_job(job)

        def report_job_submission(self, job_info: Any, *args: Any, **kwargs: Any) -> None:
            """Note how far its runs are."""
            if _trains(job_info.job):
                self._at_submission()[job_info.job] = _saved(job_info.job, jobs)
            super().report_job_submission(job_info, *args, **kwargs)

        def report_job_error(self, job_info: Any, msg: str | None = None, **kwargs: Any) -> None:
            """Say why it ended; take nothing from its retries if it was stopped after it moved on."""
            job = job_info.job
            if not _trains(job):
                super().report_job_error(job_info, msg, **kwargs)
            elif job_info.external_jobid is None:
                super().report_job_error(job_info, _told(job, _not_submitted(job, jobs, msg)), **kwargs)
            else:
                self._report_ended(job_info, _ending(job_info, msg, jobs, ends), **kwargs)

        def _report_ended(self, job_info: Any, found: Ending, **kwargs: Any) -> None:
            job, whole = job_info.job, not found.runs
            if whole and job.rule.name == "train":  # it was told to end when all was there
                self.report_job_success(job_info)
                return
            moved_on = _saved(job, jobs) > self._at_submission().get(job, 0)
            if whole or (found.only_stopped and moved_on):
                how = found.sentence().partition(": raise")[0].partition(": the same")[0]
                self.logger.info(f"{how}. It moved on, and goes on in a new job.")
                job.attempt -= 1  # which the restart counts again
                self.workflow.scheduler.error_callback(job)
                return
            if found.refused:
                job.attempt = job.restart_times + 1  # the last: another would be refused as well
            super().report_job_error(job_info, _told(job, found.sentence()), **kwargs)

        def _at_submission(self) -> dict[Any, int]:
            return self.__dict__.setdefault("_steps_at_submission", {})

    return Patient


def _told(job: Any, sentence: str) -> str:
    """A sentence as Snakemake prints it: that of the last attempt is the error of the build."""
    return sentence if job.restart_times > job.attempt - 1 else f"error: {sentence}"


def _not_submitted(job: Any, jobs: Jobs, msg: str | None) -> str:
    said = re.search(r"error message was '(.*?)'", msg or "", flags=re.DOTALL)
    why = " ".join((said.group(1) if said else msg or "no reason was given").split())
    return (
        f"{jobs.names(job.wildcards)[0]}: its job was not taken by the cluster ({why}): mend account, partition or "
        f"limits in the profile, or {layout.EXECUTION}."
    )


def _trains(job: Any) -> bool:
    return not job.is_group() and job.rule.name in TRAINING_RULES


def _runs(job: Any, jobs: Jobs) -> list[str]:
    return [f"{job.wildcards.scale}/{name}" for name in jobs.names(job.wildcards)]


def _saved(job: Any, jobs: Jobs) -> int:
    runs = _runs(job, jobs)
    return saved_steps(runs, {run: jobs.steps(Path(run).name) for run in runs})


def _ending(job_info: Any, msg: str | None, jobs: Jobs, ends: Ends) -> Ending:
    job, id = job_info.job, str(job_info.external_jobid)
    said = re.search(r"status is: '(\w+)", msg or "")
    state = ends.true.get(id) or (said.group(1) if said else "FAILED")
    log = (job_info.aux or {}).get("slurm_logfile")
    asked = (int(job.resources.get("mem_mb", 0)), int(job.resources.get("runtime", 0)))
    return ending(_runs(job, jobs), job=id, state=state, log=Path(log) if log else None, asked=asked)
