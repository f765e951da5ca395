"""What the Snakefile asks of the Snakemake that reads it, whatever profile and options that was started with.

Names carry what they depend on, and every file is renamed into place when it is whole. So Snakemake decides by
presence alone, and never deletes: not before a job, not after one that failed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from nervelab.build.devices import visible_devices
from nervelab.build.locks import claim_build
from nervelab.cluster.executors import mend
from nervelab.cluster.queue import jobs_here, listed
from nervelab.errors import NervelabError
from nervelab.stages.jobs import CPU, Jobs

if TYPE_CHECKING:
    from snakemake.workflow import Workflow

# What is used below and in the rules; pyproject.toml says the same.
OLDEST = (9, 27)
BELOW = (10,)


@contextmanager
def one_sentence() -> Iterator[None]:
    """End this process by a user's error, as the command line does; Snakemake would put a traceback around it."""
    try:
        yield
    except NervelabError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(2)


def refuse_other_versions(version: str) -> None:
    """Refuse a Snakemake that this workflow was not written for.

    Raises:
        NervelabError: it is older, or of the next major version.
    """
    numbers = tuple(int(part) for part in version.split("+")[0].split(".")[:2] if part.isdigit())
    if not OLDEST <= numbers < BELOW:
        oldest, below = (".".join(map(str, each)) for each in (OLDEST, BELOW))
        raise NervelabError(
            f"this workflow needs a Snakemake from {oldest} to below {below}, and this is {version}: "
            "run make, which installs the right one into .venv, or pip install -e ."
        )


def settle(workflow: Workflow, jobs: Jobs) -> None:
    """Hold a workflow that is being read, whose trainings are `jobs`, to this project's settings.

    Its settings are given to it only after the Snakefile was read; they are mended as they arrive.

    Raises:
        NervelabError: `--resources gpu=...` leaves trainings without a GPU, or lets them share one.
    """
    from snakemake.workflow import Workflow

    device = jobs.device
    gpus = int(device != CPU)
    limit = workflow.global_resources["gpu"].value if "gpu" in workflow.global_resources else None
    if gpus and limit is not None and not (isinstance(limit, int) and limit >= gpus):
        raise NervelabError(
            f"--resources gpu={limit} leaves no GPU for trainings on {device}: say --resources gpu=1, or leave it out."
        )

    class Settled(Workflow):
        """A workflow whose settings are mended when they are set."""

        def __setattr__(self, name: str, value: Any) -> None:
            if name == "_executor_plugin" and _is_a_clusters(value) and self.is_main_process:
                os.environ.pop("SNAKEMAKE_PROFILE", None)  # is read; a Snakemake in a job would retry by it, in the job
                mend(value, jobs)
            super().__setattr__(name, value)
            with one_sentence():
                if name in _MENDERS and value is not None:
                    _MENDERS[name](self, value)
                if name == "_executor_plugin" and gpus and _runs_here(self):
                    _limit_to_the_gpus_here(self, device, limit)

    workflow.__class__ = Settled


def _presence_decides(workflow: Workflow, settings: Any) -> None:
    from snakemake.logging import logger
    from snakemake.settings.enums import RerunTrigger

    asked = set(settings.rerun_triggers)
    settings.rerun_triggers = frozenset({RerunTrigger.MTIME})
    if not workflow.is_main_process:
        return
    if asked not in ({RerunTrigger.MTIME}, set(RerunTrigger.all())):
        logger.info("--rerun-triggers has no effect here: the name of each file says what it depends on.")
    if settings.forceall or settings.forcetargets or settings.forcerun:
        logger.info("Forced or not, data and runs that are whole are not made again: delete what is to be made again.")


def _nothing_is_deleted(_: Workflow, settings: Any) -> None:
    settings.ignore_incomplete = settings.keep_incomplete = True


def _nothing_is_restored(_: Workflow, persistence: Any) -> None:
    """An older backup would be put over what a failed job has left whole."""
    persistence.backup_output = lambda path: None
    persistence.restore_output = lambda path: False


def _one_build_at_a_time(workflow: Workflow, _: Any) -> None:
    if workflow.is_main_process and not workflow.dryrun:
        claim_build()
        left = jobs_here() if workflow.non_local_exec else None
        if left:
            raise NervelabError(
                f"{listed(left)} of a build that was killed are still in the queue: wait for their end, as "
                "`nervelab build` does, or end them by scancel, and try again."
            )


_MENDERS = {
    "dag_settings": _presence_decides,
    "execution_settings": _nothing_is_deleted,
    "_persistence": _nothing_is_restored,
    "_executor_plugin": _one_build_at_a_time,
}


def _is_a_clusters(plugin: Any) -> bool:
    return plugin is not None and not plugin.common_settings.local_exec


def _runs_here(workflow: Workflow) -> bool:
    return workflow.is_main_process and workflow.local_exec


def _limit_to_the_gpus_here(workflow: Workflow, device: str, limit: int | None) -> None:
    """On one machine no more trainings run at once than there are GPUs: all that it shows, or the one that is named.

    Where none is found, one training is let through, which says so: data may be made here all the same.
    """
    try:
        devices = visible_devices() if device == "cuda" else [device]
    except NervelabError:
        if limit is not None and limit > 1:
            raise
        devices = [device]
    if limit is not None and limit > len(devices):
        shared = "the one GPU" if len(devices) == 1 else f"the {len(devices)} GPUs"
        raise NervelabError(
            f"--resources gpu={limit} would let {limit} trainings share {shared} that {device} means here: "
            f"say --resources gpu={len(devices)}, or leave it out."
        )
    workflow.register_resource("gpu", len(devices) if limit is None else limit)
