"""What a build is doing, read from the files it leaves: what runs, what is left, how long."""

import time
from dataclasses import dataclass

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from nervelab import layout, runfiles
from nervelab.stages.chain import CORPUS, PROBE, TOKENS, TRAIN
from nervelab.stages.targets import Targets
from nervelab.told import told


@dataclass(frozen=True)
class Snapshot:
    """The state of the wanted files at one moment; `running` maps run names to steps done and steps in all."""

    finished: frozenset[str]
    running: dict[str, tuple[int, int]]
    stage: str


class View:
    """A live view on a terminal; elsewhere a line whenever something has ended."""

    def __init__(self, console: Console, targets: Targets, *, data_alone: bool = False) -> None:
        self.console, self.targets, self.data_alone = console, targets, data_alone
        self.steps = {run.name: run.config.training.steps for run in targets.project.runs}
        self.start = time.monotonic()
        self.before = self.look()
        self.done_before = self._steps_done(self.before)
        self.overall = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=console,
        )
        self.task = self.overall.add_task("trainings", total=len(self.steps), left="")
        self.live = Live(console=console, refresh_per_second=4, transient=True) if console.is_terminal else None

    def __enter__(self) -> "View":
        if self.live:
            self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.live:
            self.live.stop()

    @property
    def left(self) -> int:
        """How many trainings had not ended when it last looked."""
        return len(self.steps) - len(self.before.finished)

    def update(self) -> None:
        """Look again and show what changed."""
        now = self.look()
        for name in sorted(now.finished - self.before.finished):
            self._say(f"trained {name} ({len(now.finished)} of {len(self.steps)}{self._left(now)})")
        if now.stage != self.before.stage and not self.data_alone:  # which ends where the next stage would begin
            self._say(now.stage)
        self.before = now
        if self.live:
            self.overall.update(self.task, completed=len(now.finished), left=self._left(now).removeprefix(", "))
            lines = [Text(f"  {name}: step {step} of {steps}") for name, (step, steps) in sorted(now.running.items())]
            self.live.update(Group(Text(now.stage), self.overall, *lines))

    def _say(self, line: str) -> None:
        self.console.print(line, soft_wrap=True)

    def look(self) -> Snapshot:
        """Read the state from the disk."""
        names = self.targets.run_names
        folders = {run.name: run.folder for run in self.targets.project.runs}
        finished = frozenset(name for name in names if (folders[name] / runfiles.RUN_JSON).exists())
        running = {}
        for name in names:
            if name not in finished and (layout.CHECKPOINTS / name).is_dir():
                running[name] = (told(name).step, self.steps[name])
        data_missing = next((stage for stage in (CORPUS, TOKENS) if not stage.is_made(self.targets.project)), None)
        if data_missing is not None:
            stage = data_missing.doing
        elif len(finished) < len(names):
            stage = TRAIN.doing
        else:
            stage = "analysing and rendering" if PROBE.is_made(self.targets.project) else PROBE.doing
        return Snapshot(finished, running, stage)

    def _steps_done(self, state: Snapshot) -> int:
        return sum(self.steps[name] for name in state.finished) + sum(step for step, _ in state.running.values())

    def _left(self, state: Snapshot) -> str:
        done = self._steps_done(state)
        gained = done - self.done_before
        if gained <= 0:
            return ""
        seconds = (time.monotonic() - self.start) * (sum(self.steps.values()) - done) / gained
        return f", about {seconds / 60:.0f} min left" if seconds > 90 else f", about {seconds:.0f} s left"
