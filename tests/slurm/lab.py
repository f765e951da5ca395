"""A copy of the tests' small study whose trainings are jobs of a Slurm, and which knows each step they took."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from tests.slurm.rig import Slurm
from tests.support.paced import PATIENCE
from tests.support.project import Project

# Steps of a run that takes ten seconds or more: long enough for what happens to it, with a checkpoint each second.
LONG = 1500
SPY = Path(__file__).with_name("spy")
PROFILE = Path("workflow/profiles/slurm")
TABLE = Path("workflow/execution.yaml")


@dataclass(frozen=True)
class Step:
    """A step of a training that was begun."""

    run: str
    process: str
    job: str
    gpus: str
    number: int


@dataclass(frozen=True)
class Lab(Project):
    """A project folder beside a Slurm."""

    slurm: Slurm = field(repr=False, kw_only=True)

    @classmethod
    def of(cls, project: Project, folder: Path, slurm: Slurm) -> Lab:
        """A copy of a project, in a folder."""
        shutil.copytree(project.folder, folder, symlinks=True)
        return cls(folder, slurm=slurm)

    @property
    def environment(self) -> dict[str, str]:
        """The project's, by which commands also find Slurm, and trainings the spy."""
        mine = super().environment
        path = os.pathsep.join([str(Path(sys.executable).parent), self.slurm.environment["PATH"]])
        spied = {"PYTHONPATH": f"{mine['PYTHONPATH']}{os.pathsep}{SPY}", "TRAININGS": str(self.log)}
        return {**mine, "PATH": path, "SLURM_CONF": self.slurm.environment["SLURM_CONF"], **spied}

    @property
    def log(self) -> Path:
        """Where trainings write their steps: outside the folder, which git and DVC look at."""
        return self.folder.with_name(f"{self.folder.name}.trainings")

    def steps(self, run: str | None = None) -> list[Step]:
        """The steps that were begun, in their order, of all runs or of one, by its id."""
        text = self.log.read_text(encoding="utf-8") if self.log.exists() else ""
        words = [line.split() for line in text.splitlines() if line.count(" ") == 4]
        return [Step(*each[:4], int(each[4])) for each in words if run in (None, each[0])]

    def begun_anew(self) -> dict[str, int]:
        """How often each run was begun from its beginning, by its id."""
        first = [step.run for step in self.steps() if step.number == 0]
        return {run: first.count(run) for run in first}

    def went_on(self, before: Step) -> None:
        """Assert that a run that was at this step was gone on with by another process, not from its beginning."""
        after = [step for step in self.steps(before.run) if step.process != before.process]
        assert after
        assert after[0].number > 0

    def ids(self) -> dict[str, str]:
        """The id of each finished run, by its name."""
        return {name: run["id"] for name, run in self.runs().items()}

    def until(self, reached: Callable[[], object], build: subprocess.Popen | None = None) -> object:
        """Wait until something is so, and say what it was; fails if the build ends before."""
        end = time.monotonic() + PATIENCE
        while True:
            found = reached()
            if found:
                return found
            if build is not None and build.poll() is not None:
                raise AssertionError(f"the build ended with {build.returncode}:\n{self.said(build)}")
            assert time.monotonic() < end, "it was never so"
            time.sleep(0.1)

    def training(self, build: subprocess.Popen, but: tuple[str, ...] = ()) -> Step:
        """The last step of a training that can go on from a checkpoint, in a job other than these."""

        def found() -> Step | None:
            saved = {path.parent.name.rsplit("-", 1)[-1] for path in self.folder.glob(".checkpoints/*/state.pt")}
            running = {job for job, state in self.slurm.queue().items() if state == "RUNNING"}
            steps = self.steps()
            return next((s for s in reversed(steps) if s.run in saved and s.job in running and s.job not in but), None)

        return self.until(found, build)

    def begin(self, command: str) -> subprocess.Popen:
        """Start a command, what it says kept for `said`."""
        path = self._said("new")
        with path.open("wb") as out:
            process = self.start(command, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        path.rename(self._said(process.pid))
        return process

    def said(self, process: subprocess.Popen) -> str:
        """What a command that was begun has said so far."""
        return self._said(process.pid).read_text(encoding="utf-8", errors="replace")

    def ends(self, process: subprocess.Popen, *, fails: bool = False) -> str:
        """Wait for the end of a command that was begun, and say what it said; it must succeed, or must fail."""
        status = process.wait(PATIENCE)
        said = self.said(process)
        assert (status != 0) is fails, f"exit {status}\n{said}\n{self._snakemakes()}"
        return said

    def profile(self, *lines: str) -> None:
        """Add lines to the profile of Slurm, as a lab would."""
        path = self.folder / PROFILE / "config.yaml"
        path.write_text("\n".join([path.read_text(encoding="utf-8"), *lines, ""]), encoding="utf-8")

    def executed(self, **settings: object) -> None:
        """Change what trainings of this size ask for, in the table that a lab edits."""
        path = self.folder / TABLE
        table = yaml.safe_load(path.read_text(encoding="utf-8"))
        table["sizes"][0] |= settings
        path.write_text(yaml.safe_dump(table), encoding="utf-8")

    def _said(self, what: object) -> Path:
        return self.folder.with_name(f"{self.folder.name}.{what}.said")

    def _snakemakes(self) -> str:
        path = self.folder / "logs" / "snakemake.log"
        return path.read_text(encoding="utf-8", errors="replace")[-6000:] if path.exists() else ""
