"""Several runs trained by one process, one after the other, each ending on its own."""

from __future__ import annotations

import gc
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from nervelab.errors import NervelabError
from nervelab.files import machine_fault
from nervelab.training.execution import Execution
from nervelab.training.preemption import Stopped, StopRequest


@dataclass(frozen=True)
class Member:
    """One of the runs; what is said while it is trained goes to its `log`, if it has one."""

    execution: Execution
    log: Path | None = None


@dataclass(frozen=True)
class Ended:
    """How a member ended: an exit status, a line for its own log, and one for the log of all."""

    status: int
    said: str
    line: str
    stopped: bool = False


def train_each(members: Sequence[Member], train: Callable[[Execution, StopRequest], str], stop: StopRequest) -> int:
    """Train one after the other; whoever is asked to stop ends all. Returns the first exit status that is not 0.

    Members that were begun before go last: what one of them killed this process by, as for want of memory, keeps the
    others from being trained only once.
    """
    status = 0
    for member in sorted(members, key=lambda member: member.execution.checkpoints.exists()):
        with _told_in(member.log):
            ended = _ended(member, train, stop)
            sys.stderr.write(ended.said)
        if member.log is not None:
            sys.stderr.write(ended.line)
        status = status or ended.status
        if ended.stopped:
            break
        gc.collect()  # a model and its hooks may hold each other
        if torch.cuda.is_initialized():
            torch.cuda.empty_cache()
    return status


def _ended(member: Member, train: Callable[[Execution, StopRequest], str], stop: StopRequest) -> Ended:
    name = member.execution.out.name
    try:
        stop.deadline = member.execution.deadline
        asked = stop.asked()
        if asked is not None:
            raise asked
        outcome = train(member.execution, stop)
    except Stopped as stopped:
        return Ended(stopped.exit_status, f"{stopped}\n", f"{stopped}\n", stopped=True)
    except NervelabError as error:
        return _failed(name, str(error))
    except OSError as error:
        said = machine_fault(error)
        return _defect(member, error) if said is None else _failed(name, said)
    except Exception as error:  # noqa: BLE001 (a defect of this run's, perhaps, and of no other's)
        return _defect(member, error)
    return Ended(0, f"{name}: {outcome}\n", f"{name}: {outcome}\n")


def _failed(name: str, said: str) -> Ended:
    return Ended(2, f"error: {said}\n", f"error: {name}: {said}\n")


def _defect(member: Member, error: Exception) -> Ended:
    said = "".join(traceback.format_exception(error))
    last = said.rstrip("\n").rpartition("\n")[2]
    return Ended(1, said, f"error: {member.execution.out.name}: {last} ({member.log} has the whole story)\n")


@contextmanager
def _told_in(log: Path | None) -> Iterator[None]:
    """Let what this process writes go to the file `log`, which is emptied first; None leaves it where it goes."""
    if log is None:
        yield
        return
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_bytes(b"")
    own = [os.dup(descriptor) for descriptor in (1, 2)]
    try:
        with log.open("ab") as file:
            _point_to([file.fileno()] * 2)
        yield
    finally:
        _point_to(own)
        for descriptor in own:
            os.close(descriptor)


def _point_to(targets: Sequence[int]) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    for descriptor, target in zip((1, 2), targets, strict=True):
        os.dup2(target, descriptor)
