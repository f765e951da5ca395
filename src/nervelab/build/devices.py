"""One GPU, one training: what a box has, and leases on it.

A lease is a lock on a file named after the device, held by a descriptor that the trainer takes over: so it ends with
the trainer, however that ends, and no device is freed too early or kept by nobody.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import quote

from nervelab.build.locks import JOB_LOCKS
from nervelab.errors import NervelabError
from nervelab.leases import locked

VISIBLE = "CUDA_VISIBLE_DEVICES"
# What schedulers call a job: Slurm, PBS, LSF, and Grid Engine and its kin.
_JOBS = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "JOB_ID")
_SECONDS_BETWEEN_TRIES = 0.5


def visible_devices(environment: Mapping[str, str] = os.environ) -> list[str]:
    """The names of the GPUs that a process may use, in CUDA's order.

    They are what CUDA_VISIBLE_DEVICES says, numbers or UUIDs, or else the UUIDs of what nvidia-smi lists: of a GPU that
    is divided, those of its parts.

    Raises:
        NervelabError: there is none.
    """
    if VISIBLE in environment:
        named = _named(environment[VISIBLE])
        if not named:
            raise NervelabError(
                f"{VISIBLE}={environment[VISIBLE]} hides every GPU: name there those that may be used, like 0,1, or "
                "train on the CPU (device=cpu)."
            )
        return named
    try:
        answer = subprocess.run(["nvidia-smi", "-L"], capture_output=True, encoding="utf-8", check=False, timeout=60)
        listed = _listed(answer.stdout)
    except (OSError, subprocess.TimeoutExpired):
        listed = []
    if not listed:
        raise NervelabError(
            f"no GPU is found here (`nvidia-smi -L` lists none): name those that may be used in {VISIBLE}, like 0,1, "
            "or train on the CPU (device=cpu)."
        )
    return listed


def lease_devices(
    count: int,
    number: int | None = None,
    say: Callable[[str], object] = sys.stderr.write,
    sleep: Callable[[float], object] = time.sleep,
) -> dict[str, str]:
    """Lease `count` GPUs of this box, waiting for them, until this process and what takes its place has ended.

    A GPU that a scheduler has bound to its job, as many as asked for, is the job's own, and nothing is leased.

    Args:
        count: how many.
        number: which of the visible ones, where one alone will do; the environment stays as it is then.
        say: is told, once, that there is something to wait for.
        sleep: waits for so many seconds.

    Returns:
        What the environment of the training has to say.

    Raises:
        NervelabError: there are fewer, whether free or not.
    """
    if not count:
        return {}
    job = next((os.environ[name] for name in _JOBS if os.environ.get(name)), None)
    bound = job is not None and VISIBLE in os.environ
    if bound and len(_named(os.environ[VISIBLE])) == count:
        return {}
    devices = visible_devices()
    wanted = devices if number is None else devices[number : number + 1]
    if len(wanted) < count:
        asked = f"{count} for each training" if number is None else f"number {number}"
        raise NervelabError(
            f"the GPUs here are {', '.join(devices)}, and {asked} is asked for: name one that is there (device=cuda "
            f"takes any), or show more of them in {VISIBLE}."
        )
    # Within a job the same number may be another GPU than in the next job.
    place = quote(socket.gethostname(), safe="") + (f"-{quote(job, safe='')}" if bound and job else "")
    taken = _free(wanted, count, place)
    if taken is None:
        say(f"waiting for {count} of the GPUs {', '.join(wanted)} to be free\n")
    while taken is None:
        sleep(_SECONDS_BETWEEN_TRIES)
        taken = _free(wanted, count, place)
    return {} if number is not None else {VISIBLE: ",".join(taken)}


def _named(value: str) -> list[str]:
    """The devices of a value of CUDA_VISIBLE_DEVICES: CUDA ends the list at the first that cannot be one."""
    named = []
    for name in map(str.strip, value.split(",")):
        if not re.fullmatch(r"\d+|(GPU|MIG)-[\w./-]+", name):
            break
        named.append(name)
    return list(dict.fromkeys(named))


def _listed(said: str) -> list[str]:
    """The devices that `nvidia-smi -L` lists; the parts of a divided GPU, indented below it, in its place."""
    devices: list[list[str]] = []
    for line in said.splitlines():
        found = re.search(r"\(UUID: ([\w./-]+)\)", line)
        if found and line.startswith("GPU "):
            devices.append([found[1]])
        elif found and devices:
            devices[-1].append(found[1])
    return [name for whole, *parts in devices for name in parts or [whole]]


def _free(devices: Sequence[str], count: int, place: str) -> list[str] | None:
    """Lock the first `count` devices that nobody has locked, all at once; None where there are fewer."""
    JOB_LOCKS.mkdir(exist_ok=True)
    gate = os.open(JOB_LOCKS / f"devices-{place}", os.O_RDWR | os.O_CREAT, 0o644)
    taken: dict[str, int] = {}
    try:
        # One looks at a time: else two that want two each may hold one each, again and again.
        locked(gate, JOB_LOCKS, wait=True)
        for name in devices:
            descriptor = os.open(JOB_LOCKS / f"device-{place}-{quote(name, safe='')}", os.O_RDWR | os.O_CREAT, 0o644)
            if not locked(descriptor, JOB_LOCKS):
                os.close(descriptor)
                continue
            taken[name] = descriptor
            if len(taken) == count:
                break
        if len(taken) < count:
            for descriptor in taken.values():
                os.close(descriptor)
            return None
        for descriptor in taken.values():
            os.set_inheritable(descriptor, True)
        return list(taken)
    finally:
        os.close(gate)
