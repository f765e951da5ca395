"""`nervelab adopt`: kept runs re-keyed to the code of today, after it has shown that it would have made them."""

from __future__ import annotations

import multiprocessing
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Thread

from rich.console import Console
from rich.progress import Progress

from nervelab import layout, runfiles
from nervelab.adoption.data import data_made_again
from nervelab.adoption.kept import Kept, components, kept_for
from nervelab.adoption.rekey import PARTIAL, Candidate, rekey
from nervelab.adoption.replay import Job, Seen, recompute, replay
from nervelab.errors import NervelabError
from nervelab.study.components import TRAINER
from nervelab.study.components import components as modules
from nervelab.study.fingerprint import fingerprint
from nervelab.study.plans import content_of
from nervelab.study.runs import Project, Run, covering
from nervelab.training.execution import Execution


@dataclass
class Report:
    """What became of the wanted runs that are not there: adopted, refused for a reason, or none kept."""

    adopted: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    not_kept: list[str] = field(default_factory=list)


def require_device(name: str) -> None:
    """Refuse a device that is not there before anything is made.

    Raises:
        NervelabError: it is not there.
    """
    nowhere = Path()
    Execution(plan=nowhere, data=nowhere, out=nowhere, checkpoints=nowhere, device=name).prepare()


def adopt(project: Project, *, everything: bool, device: str, workers: int, console: Console) -> Report:
    """Adopt what can be adopted of the wanted runs that are not there.

    Of several kept runs with the settings of one wanted run, the next is tried where one is refused.

    Args:
        project: what params.yaml asks for; its data, made by today's code, have to be there.
        everything: replay each run, not only a covering set of them.
        device: what the replays run on.
        workers: how many of them run side by side.
        console: where progress is shown.

    Raises:
        NervelabError: the code was edited meanwhile.
    """
    for left in (layout.RUNS / project.scale).glob(f"{PARTIAL}*"):  # of an adoption that was killed
        shutil.rmtree(left)
    wanted = [run for run in project.runs if runfiles.whole_run(run.folder) is None]
    kept = kept_for(wanted, project.scale)
    report = Report(not_kept=[run.name for run in wanted if not kept[run.name]])
    for each in kept.values():  # those of which more can be seen come first
        each.sort(key=lambda one: not one.has_steps)
    waiting = [run for run in wanted if kept[run.name]]
    with Progress(console=console) as progress, _killed_is_said(), _pool(workers) as pool:
        desk = _Desk(pool, progress, device, report)
        while waiting:
            passed = desk.recomputed(desk.with_data([(run, kept[run.name].pop(0)) for run in waiting]))
            replayed = desk.replayed(passed, everything)
            shown_by = _shown_by(replayed)
            refuse_edited_code([each.run for each in passed])
            for candidate in replayed + [each for each in passed if each.run.name not in report.refused]:
                if candidate.run.name not in report.adopted:
                    rekey(candidate, shown_by)
                    report.adopted.append(candidate.run.name)
            waiting = [run for run in waiting if kept[run.name] and run.name in report.refused]
    return report


@contextmanager
def _killed_is_said() -> Iterator[None]:
    try:
        yield
    except BrokenProcessPool as error:
        raise NervelabError(
            "a replay was killed, most likely for want of memory: adopt again with `--workers 1`."
        ) from error


def refuse_edited_code(runs: Iterable[Run]) -> None:
    """Refuse to go on where the code on disk, which workers import as they start, is not that of the runs' names.

    Raises:
        NervelabError: it was edited since they were named.
    """
    code = {(TRAINER, *modules(run.config).values()): run.fingerprint for run in runs}
    if any(fingerprint(entries) != known for entries, known in code.items()):
        raise NervelabError("the code was edited while kept runs were examined: run `nervelab adopt` again.")


def said(report: Report) -> str:
    """The report for a terminal, a line each; what was adopted in one."""
    lines = [f"refused: {reason}" for reason in report.refused.values()]
    lines += [f"nothing is kept of {name}" for name in report.not_kept]
    lines.append(f"adopted {len(report.adopted)} runs, {len(report.refused)} refused, {len(report.not_kept)} not kept")
    return "\n".join(lines) + "\n"


def _pool(workers: int) -> ProcessPoolExecutor:
    # Started anew: torch and Polars hold threads and locks that a fork would copy.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(workers, mp_context=context, initializer=_end_with_parent)


def _end_with_parent() -> None:
    """End this worker when whoever started it is killed: it would wait for work for ever."""
    parent = multiprocessing.parent_process()
    Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()


@dataclass(frozen=True)
class _Desk:
    """Where candidates pass one examination after the other; who fails one is refused in the report."""

    pool: ProcessPoolExecutor
    progress: Progress
    device: str
    report: Report

    def with_data(self, tried: Iterable[tuple[Run, Kept]]) -> list[Candidate]:
        """Those whose data today's code made again, byte for byte."""
        passed, known = [], {}
        for run, kept in tried:
            self.report.refused.pop(run.name, None)  # what was said of another kept run
            key = (run.data.id, tuple(kept.recorded["inputs"].items()))
            if key not in known:
                known[key] = data_made_again(run.data, kept.recorded["inputs"])
            differs, data = known[key]
            candidate = Candidate(run, kept, data)
            if differs is None:
                passed.append(candidate)
            else:
                self._refuse(candidate, differs)
        return passed

    def recomputed(self, candidates: list[Candidate]) -> list[Candidate]:
        """Those of which today's code makes all that can be made without training."""
        seen = self._worked(recompute, candidates, "recomputing what was kept")
        return [replace(each, recomputed=seen[each.run.name]) for each in candidates if each.run.name in seen]

    def replayed(self, candidates: list[Candidate], everything: bool) -> list[Candidate]:
        """Those whose first steps were replayed and agree; a covering set of all, if none of it differs.

        Runs that diverged are always replayed, as nothing of their end can be recomputed. If one replay differs,
        nothing is taken from one run to another any more: each is replayed itself.
        """
        cover = {run.name for run in covering([each.run for each in candidates], components)}
        cover |= {each.run.name for each in candidates if everything or each.kept.recorded["outcome"] == "diverged"}
        first = [each for each in candidates if each.run.name in cover]
        seen = self._worked(replay, first, "replaying first steps")
        if len(seen) < len(first):
            seen |= self._worked(replay, [each for each in candidates if each not in first], "replaying the rest too")
        return [replace(each, replayed=seen[each.run.name]) for each in candidates if each.run.name in seen]

    def _worked(self, work: Callable[[Job], Seen], candidates: list[Candidate], title: str) -> dict[str, Seen]:
        """What was seen of those in which nothing differs, by the name of the wanted run."""
        task = self.progress.add_task(title, total=len(candidates))
        jobs = [Job(each.kept.folder, content_of(each.run), each.run.data.folder, self.device) for each in candidates]
        futures = {self.pool.submit(work, job): each for job, each in zip(jobs, candidates, strict=True)}
        agreed = {}
        for future in as_completed(futures):
            self.progress.advance(task)
            candidate, seen = futures[future], future.result()
            if seen.differs is None:
                agreed[candidate.run.name] = seen
            else:
                self._refuse(candidate, seen.differs)
        return agreed

    def _refuse(self, candidate: Candidate, reason: str) -> None:
        self.report.refused[candidate.run.name] = f"{candidate.kept.name}: {reason}"


def _shown_by(replayed: Iterable[Candidate]) -> dict[str, str]:
    """The first replayed run that shows each component."""
    found: dict[str, str] = {}
    for candidate in replayed:
        for component in components(candidate.run):
            found.setdefault(component, candidate.run.name)
    return found
