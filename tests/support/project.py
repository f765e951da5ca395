"""A small copy of this project in a folder of its own, driven with the real Snakemake, DVC and git."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from random import Random

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("Snakefile", "dvc.yaml", ".dvcignore", ".gitignore", "pyproject.toml", "src", "workflow")


@dataclass(frozen=True)
class Project:
    """A project folder; its own `src` is what runs in it."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """This Python's commands first, the folder's own code before the installed one, no prompts, no colours."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        mine = {"PATH": path, "PYTHONPATH": str(self.folder / "src"), "NO_COLOR": "1", "COLUMNS": "200"}
        identity = {f"GIT_{role}_{what}": "tests" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        return {**os.environ, **mine, **identity, "DVC_NO_ANALYTICS": "1", "OMP_NUM_THREADS": "1"}

    def start(self, command: str, **options) -> subprocess.Popen:
        """Start a command in the folder, in a process group of its own."""
        return subprocess.Popen(
            command.split(), cwd=self.folder, env=self.environment, start_new_session=True, **options
        )

    def answer(self, command: str) -> tuple[int, str]:
        """Run a command in the folder and return its exit status and what it printed."""
        answer = subprocess.run(
            command.split(),
            cwd=self.folder,
            env=self.environment,
            text=True,
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
        )
        return answer.returncode, answer.stdout

    def run(self, command: str, *, fails: bool = False) -> str:
        """Run a command in the folder and return what it printed; it must succeed, or must fail."""
        status, said = self.answer(command)
        assert (status != 0) is fails, f"{command}: exit {status}\n{said}"
        return said

    def commit(self, message: str) -> None:
        """Commit everything that git does not ignore."""
        self.run("git add -A")
        subprocess.run(["git", "commit", "-qm", message], cwd=self.folder, env=self.environment, check=True)

    def edit(self, file: str, old: str, new: str) -> None:
        """Replace text in a file, once."""
        path = self.folder / file
        text = path.read_text()
        assert old in text, f"{old!r} is not in {file}"
        path.write_text(text.replace(old, new, 1))

    def copy(self, folder: Path) -> Project:
        """A copy of the folder as it lies, times included."""
        shutil.copytree(self.folder, folder, symlinks=True)
        return Project(folder)

    def clone(self, folder: Path) -> Project:
        """A git clone: what is committed, and nothing else."""
        subprocess.run(["git", "clone", "-q", str(self.folder), str(folder)], env=self.environment, check=True)
        return Project(folder)

    def runs(self, scale: str = "laptop") -> dict[str, dict]:
        """The run.json of every run on disk, by name."""
        found = (self.folder / "runs" / scale).glob("*/run.json")
        return {path.parent.name: json.loads(path.read_text()) for path in found}

    def run_times(self, scale: str = "laptop") -> dict[str, int]:
        """When each run on disk was written."""
        return {
            name: (self.folder / "runs" / scale / name / "run.json").stat().st_mtime_ns for name in self.runs(scale)
        }

    def jobs(self, rule: str) -> int:
        """How many jobs of a rule Snakemake would run now."""
        said = self.run("snakemake -n")
        counted = re.search(rf"^{rule}\s+(\d+)$", said, flags=re.MULTILINE)
        return int(counted.group(1)) if counted else 0

    def snakemake_is_clean(self) -> bool:
        """Whether Snakemake has nothing to do."""
        return "Nothing to be done" in self.run("snakemake -n")

    def dvc_is_clean(self) -> bool:
        """Whether `dvc status` finds nothing changed."""
        return "Data and pipelines are up to date" in self.run("dvc status")

    def results(self) -> dict[str, bytes]:
        """The files that must not differ between two executions, by path."""
        kept = [
            *sorted((self.folder / "runs" / "laptop").glob("*/run.json")),
            *sorted((self.folder / "results" / "tables").glob("*")),
            *sorted((self.folder / "results" / "figures").glob("*")),
            self.folder / "results" / "findings.csv",
            self.folder / "results" / "runs.json",
        ]
        return {path.relative_to(self.folder).as_posix(): path.read_bytes() for path in kept}


def write_texts(folder: Path) -> None:
    """Thirty texts in which a word allows two others after it: far more is learned in twenty steps than frequencies."""
    folder.mkdir()
    random = Random(0)
    words = ["".join(random.choices("abcdefghijklmnop", k=4)) for _ in range(24)]
    after = {word: random.sample(words, 2) for word in words}
    for number in range(30):
        text = [random.choice(words)]
        while len(text) < 800:
            text.append(random.choice(after[text[-1]]))
        (folder / f"text-{number:02}.py").write_text(" ".join(text) + "\n")


def create(folder: Path) -> Project:
    """A new project: this one's workflow and code, the small params.yaml, a few texts, git and DVC set up."""
    folder.mkdir(parents=True)
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / part)
    (folder / "profiles").symlink_to("workflow/profiles")
    # All of the small study stands in its params.yaml, so that is where DVC has to look for each section.
    stages = folder / "dvc.yaml"
    stages.write_text(re.sub(r"\{config/\w+\.yaml: \[(.*?)\]\}", r"\1", stages.read_text()))
    shutil.copy(ROOT / "tests" / "workflow" / "params.yaml", folder / "params.yaml")
    write_texts(folder / "texts")
    project = Project(folder)
    project.run("git init -q -b main")
    project.run("dvc init -q")
    shutil.copytree(ROOT / ".dvc" / "plots", folder / ".dvc" / "plots")
    project.run("dvc config core.analytics false")
    project.run(f"dvc remote add -d store {folder.parent / 'store'}")
    project.commit("the project")
    return project
