"""Running Snakemake on a target, or DVC on its stages."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console

from nervelab.build.locks import clear_dvc_lock, clear_snakemake_locks, sole_build
from nervelab.build.progress import View
from nervelab.errors import NervelabError
from nervelab.study.targets import Targets

LOG = Path("logs/snakemake.log")


def build(target: str, scale: str | None, console: Console) -> None:
    """Make `target` by Snakemake, showing progress.

    Raises:
        NervelabError: bad input, or a job failed; the sentence is the job's own where it said one.
    """
    targets = Targets.of(scale)
    with sole_build(console.print) as lock:
        clear_snakemake_locks(console.print)
        command = [sys.executable, "-m", "snakemake", target, "--show-failed-logs", "--nocolor"]
        if scale is not None:
            command += ["--config", f"scale={scale}"]
        LOG.parent.mkdir(exist_ok=True)
        with LOG.open("w") as log, View(console, targets) as view:
            process = subprocess.Popen(
                command,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment(),
                pass_fds=[lock],
                start_new_session=True,
            )
            status = _watch(process, view)
        said = LOG.read_text(errors="replace")
    if status != 0:
        raise NervelabError(_reason(said))
    if "Nothing to be done" in said:
        console.print("nothing to be done: everything that params.yaml asks for is there")
    elif target == "all" and scale is None and Path("dvc.lock").exists() and "DVC_STAGE" not in os.environ:
        console.print("`dvc commit` records this build in dvc.lock")
    if target == "all":
        console.print(f"open {targets.results / 'index.html'}")


def repro(arguments: list[str], console: Console) -> int:
    """Run `dvc repro` once no other build is alive, past the lock of one that was killed. Returns its exit status."""
    with sole_build(console.print):
        clear_snakemake_locks(console.print)
        clear_dvc_lock(console.print)
    return subprocess.run([sys.executable, "-m", "dvc", "repro", *arguments], env=environment(), check=False).returncode


def environment() -> dict[str, str]:
    """The environment of the workflow's processes: this Python's own commands come first."""
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"}


def _watch(process: subprocess.Popen[bytes], view: View) -> int:
    """Show progress until the process ends; SIGTERM and SIGINT are handed on, so that trainings save where they are."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: process.send_signal(number))
    while process.poll() is None:
        view.update()
        time.sleep(0.25)
    view.update()
    return process.returncode


def _reason(said: str) -> str:
    """The one sentence of the job that failed, or the end of its traceback, from what Snakemake printed of its log."""
    lines = [line.strip() for line in said.splitlines()]
    own = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    if own:
        return own[0]
    raised = [line for line in lines if re.match(r"[\w.]*(Error|Exception|Interrupt)\b", line)]
    return f"the workflow failed ({raised[0] if raised else 'no reason given'}): {LOG} has the whole story."
