"""The jobs that train what is missing: what each asks for, and which trainings share one.

On one machine each training is a job. On a cluster a job costs about ten seconds beside its training, so that small
trainings by the same code share one, which trains them one after the other; each ends on its own. Such a job is known
by the ids of its runs and by how often they were asked for together, and leaves an empty file of that name.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from nervelab import layout, runfiles
from nervelab.errors import NervelabError
from nervelab.files import read_json
from nervelab.stages.chain import TRAIN
from nervelab.stages.targets import REMEDY, Targets
from nervelab.study.execution import Execution, Size
from nervelab.study.options import Options
from nervelab.study.runs import Run

CPU = "cpu"


class Jobs:
    """The trainings of `targets` as jobs, executed as `execution` and the `options` of the command line say."""

    def __init__(self, targets: Targets, execution: Execution, options: Options) -> None:
        self.targets, self.execution, self.options = targets, execution, options

    @cached_property
    def device(self) -> str:
        """The device of the trainings that take a GPU, else cpu.

        Raises:
            NervelabError: they take different ones, of which one machine can offer one.
        """
        named = {self.size(run.name).device for run in self.targets.project.runs} - {CPU}
        if len(named) > 1:
            raise NervelabError(f"{layout.EXECUTION}: device: name one of {', '.join(sorted(named))}, not several.")
        return named.pop() if named else CPU

    def input_of(self, runs: Iterable[Run], workflow: Any) -> Callable[[Any], list[str]]:
        """An input function of a `workflow`: what is there once these runs are trained, here or on a cluster.

        Which of the two is known only after the Snakefile was read.
        """
        runs = list(runs)
        return lambda wildcards: self.files(runs, apart=workflow.local_exec)

    def options_in(self, workflow: Any) -> Callable[[Any, Any], str]:
        """A function of a job of this `workflow`, and of its resources: the options of `nervelab train`.

        A job on a cluster is told its time limit, so that it stops by itself before.
        """

        def said(wildcards: Any, resources: Any) -> str:
            limit = f" --minutes {resources.runtime}" if workflow.remote_exec else ""
            # What was asked for when the job was submitted counts, also where the table was edited since.
            device = self.device_of(wildcards) if resources.gpu else CPU
            return (
                f"--device {device} --accumulation {self.accumulation(wildcards)} "
                f"--checkpoint-seconds {self.options.checkpoint_seconds} --gpus {resources.gpu}{limit}"
            )

        return said

    def files(self, runs: Iterable[Run], *, apart: bool) -> list[str]:
        """What has to be there once these runs are trained: their files, or what a job leaves that trains several.

        Args:
            runs: the runs.
            apart: whether each is trained by a job of its own.
        """
        runs = list(runs)
        missing = [run for run in runs if not TRAIN.is_there(run.folder)]
        shared = [] if apart else [each for each in self.shared(missing) if len(each) > 1]
        elsewhere = {run.name for each in shared for run in each}
        own = [str(run.folder / file) for run in runs if run.name not in elsewhere for file in runfiles.RUN_FILES]
        return own + [str(_to_make(each)) for each in shared]

    def shared(self, runs: Iterable[Run]) -> Iterator[tuple[Run, ...]]:
        """The runs in the groups that share a job: of one entry of the table, and trained by the same code."""
        alike: dict[tuple[Size, str], list[Run]] = {}
        for run in runs:
            alike.setdefault((self.size(run.name), run.fingerprint), []).append(run)
        for (size, _), group in alike.items():
            jobs = math.ceil(len(group) / size.together)
            for number in range(jobs):  # as evenly as can be
                yield tuple(group[number * len(group) // jobs : (number + 1) * len(group) // jobs])

    def size(self, name: str) -> Size:
        """What the training of the run of this name asks for, its device and accumulation settled."""
        size = self.execution.of(self._model(name))
        return size.model_copy(
            update={
                "device": self.options.device or size.device or CPU,
                "accumulation": self.options.accumulation or size.accumulation,
            }
        )

    def steps(self, name: str) -> int:
        """How many steps the whole training of the run of this name has."""
        run = self._wanted.get(name)
        return run.config.training.steps if run is not None else self._planned(name)["training"]["steps"]

    def names(self, wildcards: Any) -> list[str]:
        """The runs that a job trains: of the rule `train` one, of `train_together` several."""
        if "name" in wildcards.keys():  # noqa: SIM118 -- Snakemake's wildcards are a list with names
            return [wildcards.name]
        return [self._by_id(id) for id in wildcards.ids.split("+")]

    def plans(self, wildcards: Any) -> list[str]:
        """The plans of the runs that a job trains."""
        return [str(layout.plan_path(name)) for name in self.names(wildcards)]

    def needed(self, wildcards: Any) -> list[str]:
        """What has to be there before a job trains: the plans of its runs, and the manifests of their data."""
        of = [SimpleNamespace(scale=wildcards.scale, name=name) for name in self.names(wildcards)]
        return list(dict.fromkeys(file for each in of for file in self.targets.needed_to_train(each)))

    # Resources, as functions of the job and of how often it was tried: more is asked for after a failure.

    def memory_mb(self, wildcards: Any, attempt: int) -> int:
        """Memory (MB): of one training at a time, and of what Snakemake takes beside it."""
        return self.execution.overhead_mb + attempt * max(size.memory_mb for size in self._sizes(wildcards))

    def minutes(self, wildcards: Any, attempt: int) -> int:
        """The time limit: of the trainings that are left, as far as the cluster allows."""
        left = [name for name in self.names(wildcards) if not _is_whole(wildcards.scale, name)]
        asked = sum(self.size(name).minutes for name in left or self.names(wildcards)[:1])
        return min(attempt * asked, self.execution.max_minutes)

    def memory_mb_to_probe(self, wildcards: Any, attempt: int) -> int:
        """Memory (MB) of the job that probes: what the largest of the trainings behind it asks for."""
        return self.execution.overhead_mb + attempt * max((size.memory_mb for size in self._sizes_to_probe), default=0)

    def minutes_to_probe(self, wildcards: Any, attempt: int) -> int:
        """Its time limit: that of the longest of these trainings; a next attempt goes on where it stopped."""
        return min(
            attempt * max((size.minutes for size in self._sizes_to_probe), default=1), self.execution.max_minutes
        )

    @property
    def cpus_to_probe(self) -> int:
        """Its cores on a cluster; on one machine it takes as many as there are, up to the threads of its rule."""
        return max((size.cpus for size in self._sizes_to_probe), default=1)

    def cpus(self, wildcards: Any) -> int:
        """Cores."""
        return max(size.cpus for size in self._sizes(wildcards))

    def gpus(self, wildcards: Any) -> int:
        """GPUs."""
        return int(self.device_of(wildcards) != CPU)

    def device_of(self, wildcards: Any) -> str:
        """Where a job trains."""
        return self._sizes(wildcards)[0].device

    def accumulation(self, wildcards: Any) -> int:
        """The parts that a batch is trained in."""
        return self._sizes(wildcards)[0].accumulation

    def _sizes(self, wildcards: Any) -> list[Size]:
        return [self.size(name) for name in self.names(wildcards)]

    @property
    def _sizes_to_probe(self) -> list[Size]:
        return [self.size(probe.run.name) for probe in self.targets.to_probe]

    def _model(self, name: str) -> Any:
        run = self._wanted.get(name)
        if run is not None:
            return run.config.model
        return SimpleNamespace(**self._planned(name)["model"])

    def _planned(self, name: str) -> dict[str, Any]:
        """The settings of a run that was queued before params.yaml was edited."""
        plan = layout.plan_path(name)
        if not plan.exists():
            raise _unknown(name)
        return read_json(plan, REMEDY)["config"]

    @cached_property
    def _wanted(self) -> dict[str, Run]:
        return {run.name: run for run in self.targets.project.runs}

    def _by_id(self, id: str) -> str:
        for name in self._wanted:
            if name.endswith(f"-{id}"):
                return name
        for plan in sorted(layout.PLANS.glob(f"*-{id}.json")):
            return plan.stem
        raise _unknown(id)


def _is_whole(scale: str, name: str) -> bool:
    return (layout.run_folder(scale, name) / runfiles.RUN_JSON).exists()


def _unknown(name: str) -> NervelabError:
    return NervelabError(f"params.yaml asks for no run {name}: `nervelab status` lists what it asks for.")


def _to_make(runs: tuple[Run, ...]) -> Path:
    """What the next job leaves that trains these runs together: one that is there already belongs to an earlier job."""
    folder, ids = layout.TOGETHER / runs[0].scale, "+".join(run.id for run in runs)
    number = 0
    while (folder / f"{ids}.{number}").exists():
        number += 1
    return folder / f"{ids}.{number}"
