"""A process that is run in slices, so that what it has done can be looked at while it stands still.

A moment is told by the progress of a process (the files it has written, the CPU time it took), never by a clock: a busy
machine makes a build slower, and what is killed is met at the same point of its work.
"""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

from tests.support.project import Project

PATIENCE = 3600.0  # seconds, of a test that would else wait for ever: far more than any build takes


def line(process: psutil.Process) -> str:
    """The command line of a Python process, without the folders of its commands; empty for other processes."""
    words = process.cmdline()
    if not words or "python" not in words[0].rpartition("/")[2]:
        return ""
    return " ".join(word if index > 2 else word.rpartition("/")[2] for index, word in enumerate(words))


def processes(project: Project, words: str) -> list[psutil.Process]:
    """The live processes in the project's folder whose command line matches `words`, oldest first."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            alive = process.status() != psutil.STATUS_ZOMBIE and process.cwd() == str(project.folder)
            if alive and re.search(words, line(process)):
                found.append(process)
    return sorted(found, key=psutil.Process.create_time)


def awaited(build: subprocess.Popen, words: str) -> psutil.Process | None:
    """The first process of that kind among a build and what it started, once there is one; None if the build ended."""
    end = time.monotonic() + PATIENCE
    while build.poll() is None:
        assert time.monotonic() < end, f"{words} was never seen"
        with suppress(psutil.NoSuchProcess):
            root = psutil.Process(build.pid)
            for process in (root, *root.children(recursive=True)):
                with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                    if re.search(words, line(process)):
                        return process
        time.sleep(0.02)
    return None


def held_at(process: psutil.Process, reached: Callable[[], bool], seconds: float = 0.002) -> bool:
    """Run a process in slices of so many seconds until `reached`, and leave it standing still; False if it ended."""
    end = time.monotonic() + PATIENCE
    with suppress(psutil.NoSuchProcess):
        while True:
            process.suspend()
            if not _stands_still(process):
                return False
            if reached():
                return True
            process.resume()
            assert time.monotonic() < end, f"{line(process)} never came to its moment"
            time.sleep(seconds)
    return False


def _stands_still(process: psutil.Process) -> bool:
    """Wait until a process that was told to stop has stopped; False if it had ended."""
    while (status := process.status()) != psutil.STATUS_STOPPED:
        if status in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
            return False
        time.sleep(0.0002)
    return True


def waits_for_a_lock(process: psutil.Process) -> bool:
    """Whether a process waits for a file lock that another one holds."""
    waiting = [words for line in Path("/proc/locks").read_text().splitlines() if (words := line.split())[1] == "->"]
    return any(words[2] == "FLOCK" and words[5] == str(process.pid) for words in waiting)
