"""Today's code on a kept run: what it makes of the run's first steps, and of its finished model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
from safetensors.torch import load_file

from nervelab.adoption.compare import BITWISE, RECOMPUTED, REPLAYED, Tolerance, first_difference
from nervelab.errors import NervelabError
from nervelab.files import read_json
from nervelab.runfiles import EIGENVALUES, ENVIRONMENT, HISTORY, RUN_JSON, SPECTRA, WEIGHTS
from nervelab.training.artefacts import KEYS, environment, unshared
from nervelab.training.execution import Execution
from nervelab.training.loop import Diverged, Loop
from nervelab.training.outcome import judged
from nervelab.training.prepare import prepared
from nervelab.training.schedule import learning_rate_factor, measuring_steps
from nervelab.training.task import batch_digest

MEASURED_STEPS = 2  # after step 0, which a replay goes through
TABLES = {HISTORY: ("step",), SPECTRA: tuple(KEYS), EIGENVALUES: tuple(KEYS)}
RATES = Tolerance(relative=1e-12)  # numbers of Python's own, on any processor; a cosine may differ in its last bit
OF_EACH_STEP = ("rates", "batches")  # columns of the history that runs from before them lack
SAME = ("device", "torch", "threads", "accumulation")


@dataclass(frozen=True)
class Job:
    """A kept run in `folder`, and the plan that today's code makes of it, over the data in `data`."""

    folder: Path
    plan: dict[str, Any]
    data: Path
    device: str = "cpu"

    def execution(self, kept: dict[str, Any]) -> Execution:
        """How it was executed, on this machine, by its environment.json."""
        nowhere = self.folder / "not-written"
        return Execution(
            plan=nowhere,
            data=self.data,
            out=nowhere,
            checkpoints=nowhere,
            device=self.device,
            threads=kept["threads"],
            accumulation=kept.get("accumulation", 1),
        )


@dataclass(frozen=True)
class Seen:
    """What was compared, in words by what it is, and what `differs` first, if anything does."""

    differs: str | None
    compared: dict[str, str] = field(default_factory=dict)
    bitwise: bool = False


def recompute(job: Job) -> Seen:
    """Everything that can be checked of a kept run without training it.

    The rate and the batch of each step; the last spectra and the eval loss, from the weights; the outcome.
    """
    try:
        kept, loop, bitwise = _opened(job)
        checks = _Recomputation(kept, loop, BITWISE if bitwise else RECOMPUTED, bitwise)
        return Seen(next(checks.differences(), None), checks.compared, bitwise)
    except (NervelabError, Diverged) as error:
        return Seen(str(error))


def replay(job: Job) -> Seen:
    """The first steps of a kept run, from its seed to its second measured step; a run that diverged to where it did."""
    try:
        kept, loop, bitwise = _opened(job)
        tolerance = BITWISE if bitwise else REPLAYED
        last = _last_step(loop, kept.recorded)
        diverged = _diverges(loop, last)
        differs = next(_tables(kept, loop, tolerance, upto=last), None)
        differs = differs or _where_it_ended(kept.recorded, loop, diverged)
        compared = {"steps": f"0 to {loop.step}", "history, spectra and eigenvalues": _words(tolerance)}
        return Seen(differs, compared, bitwise)
    except NervelabError as error:
        return Seen(str(error))


@dataclass(frozen=True)
class _KeptTables:
    folder: Path
    recorded: dict[str, Any]

    def table(self, file: str) -> pl.DataFrame:
        return pl.read_parquet(self.folder / file)


def _opened(job: Job) -> tuple[_KeptTables, Loop, bool]:
    """The kept run, today's loop before its first step, and whether the two have to agree to the bit."""
    kept = read_json(job.folder / ENVIRONMENT, "delete the folder.")
    execution = job.execution(kept)
    device = execution.prepare()
    here = environment(device, execution)
    bitwise = kept["threads"] == 1 and all(kept.get(key) == here[key] for key in SAME)
    recorded = read_json(job.folder / RUN_JSON, "delete the folder.")
    return _KeptTables(job.folder, recorded), prepared(job.plan, execution, device), bitwise


def _last_step(loop: Loop, recorded: dict[str, Any]) -> int:
    """Where a replay ends."""
    if recorded["outcome"] == "diverged":
        return loop.config.training.steps
    later = [step for step in measuring_steps(loop.config.measure, loop.config.training.steps) if step > 0]
    return later[min(MEASURED_STEPS, len(later)) - 1]


def _diverges(loop: Loop, last: int) -> bool:
    """Train to step `last`; whether it diverges before."""
    try:
        for _ in loop.steps(last):
            pass
    except Diverged:
        return True
    return False


def _where_it_ended(recorded: dict[str, Any], loop: Loop, diverged: bool) -> str | None:
    kept = f"diverged at step {recorded['stopped_at']}" if recorded["outcome"] == "diverged" else "did not diverge"
    made = f"diverged at step {loop.step}" if diverged else "did not diverge"
    return None if kept == made else f"the outcome: {kept} kept, {made} made"


def _tables(kept: _KeptTables, loop: Loop, tolerance: Tolerance, upto: int) -> Iterator[str]:
    """What differs between the kept rows up to a step and those of a loop that was trained to it."""
    for file, keys in TABLES.items():
        rows, made = kept.table(file).filter(pl.col("step") <= upto), _made(loop, file)
        differs = first_difference(_without_batches(rows, tolerance), made, keys, tolerance, OF_EACH_STEP)
        if differs is not None:
            yield f"{file}: {differs}"


def _made(loop: Loop, file: str) -> pl.DataFrame:
    """The rows of a loop so far, as its file would hold them."""
    return pl.DataFrame(loop.rows.table(file.removesuffix(".parquet")))


def _without_batches(rows: pl.DataFrame, tolerance: Tolerance) -> pl.DataFrame:
    """Batches of images are floats: on another processor their digests need not be the same."""
    return rows if tolerance == BITWISE else rows.drop("batches", strict=False)


@dataclass
class _Recomputation:
    """The checks of a kept run against today's loop, into whose model its weights are loaded."""

    kept: _KeptTables
    loop: Loop
    tolerance: Tolerance
    bitwise: bool
    compared: dict[str, str] = field(default_factory=dict)

    def differences(self) -> Iterator[str]:
        """What differs, as each check comes to it."""
        history = self.kept.table(HISTORY)
        yield from self._measured_steps(history)
        yield from self._rates(history)
        yield from self._batches(history)
        yield from self._weights()
        if self.kept.recorded["outcome"] == "diverged":
            self.compared["outcome, final figures and spectra"] = "by a replay to where it diverged"
        else:
            yield from self._ending()

    def _measured_steps(self, history: pl.DataFrame) -> Iterator[str]:
        config, stopped = self.loop.config, self.kept.recorded["stopped_at"]
        due = [step for step in measuring_steps(config.measure, config.training.steps) if step <= stopped]
        measured = history["step"].to_list()
        # A run that diverged may have done so in the measurement of its last step.
        if measured not in (due, due[:-1] if self.kept.recorded["outcome"] == "diverged" else due):
            yield f"the measured steps: {measured} kept, {due} made"
        self.compared["measured steps"] = "all"

    def _rates(self, history: pl.DataFrame) -> Iterator[str]:
        """The share of the peak rate at each step, where that is on record; the rate itself at the measured steps."""
        training = self.loop.config.training
        if "rates" in history.columns:
            for step, kept in enumerate(_of_each_step(history, "rates")):
                made = learning_rate_factor(training, step)
                if not RATES.allows(kept, made):
                    yield f"the rate factor of step {step}: {kept!r} kept, {made!r} made"
        self.compared["rate factor"] = "every step" if "rates" in history.columns else "at the measured steps"
        for step, kept in history.filter(pl.col("lr").is_not_null()).select("step", "lr").iter_rows():
            made = self.loop.peaks[0] * learning_rate_factor(training, step - 1)
            if not RATES.allows(kept, made):
                yield f"the rate of step {step - 1}: {kept!r} kept, {made!r} made"

    def _batches(self, history: pl.DataFrame) -> Iterator[str]:
        if "batches" not in history.columns:
            self.compared["batch order"] = "not seen"
            return
        if not self.bitwise and self.loop.config.dataset.modality == "images":
            self.compared["batch order"] = "not compared: images from another processor or torch"
            return
        for step, kept in enumerate(_of_each_step(history, "batches")):
            if batch_digest(self.loop.task.training_batch(step)) != kept:
                yield f"the batch of step {step} is another"
        self.compared["batch order"] = "every step"

    def _weights(self) -> Iterator[str]:
        """Load the kept weights into today's model: the same tensors of the same shapes."""
        model, kept = self.loop.model, load_file(self.kept.folder / WEIGHTS)
        made = unshared(model)
        shapes = ({name: list(each.shape) for name, each in tensors.items()} for tensors in (kept, made))
        kept_shapes, made_shapes = shapes
        if kept_shapes != made_shapes:
            names = sorted({*kept_shapes, *made_shapes}, key=lambda name: (name not in kept_shapes, name))
            name = next(name for name in names if kept_shapes.get(name) != made_shapes.get(name))
            yield f"the weight {name}: {kept_shapes.get(name)} kept, {made_shapes.get(name)} made"
        model.load_state_dict(kept, strict=False)
        parameters = sum(each.numel() for each in model.parameters())
        if parameters != self.kept.recorded["parameters"]:
            yield f"the parameters: {self.kept.recorded['parameters']} kept, {parameters} made"

    def _ending(self) -> Iterator[str]:
        """The last measurement and the final evaluation, of the kept weights; the outcome that follows."""
        loop, recorded = self.loop, self.kept.recorded
        loop.step = last = recorded["stopped_at"]
        loop.measure()
        evaluation = loop.evaluate()
        of_weights = {HISTORY: ("step", "eval_loss", "eval_accuracy")}  # the rest of its row is of the training before
        for file, keys in TABLES.items():
            rows = self.kept.table(file).filter(pl.col("step") == last)
            made = _made(loop, file)
            if file in of_weights:
                rows, made = rows.select(of_weights[file]), made.select(of_weights[file])
            differs = first_difference(rows, made, keys, self.tolerance)
            if differs:
                yield f"{file}: {differs}"
        outcome, final = judged(evaluation, loop.task.unigram_loss, loop.config.training)
        for key, kept in recorded["final"].items():
            if not self.tolerance.allows(kept, final.get(key)):
                yield f"the final {key}: {kept!r} kept, {final.get(key)!r} made"
        if outcome != recorded["outcome"]:
            yield f"the outcome: {recorded['outcome']} kept, {outcome} made"
        self.compared["final figures and last spectra, from the weights"] = _words(self.tolerance)
        self.compared["outcome"] = outcome


def _of_each_step(history: pl.DataFrame, column: str) -> list[Any]:
    """What is on record of each step up to the last measured one.

    Raises:
        NervelabError: it is not one value a step.
    """
    values, steps = [each for row in history[column] for each in row], history["step"].max()
    if len(values) != steps:
        raise NervelabError(f"{HISTORY}: {len(values)} {column} kept for {steps} steps")
    return values


def _words(tolerance: Tolerance) -> str:
    if tolerance == BITWISE:
        return "bitwise"
    return f"within {tolerance.relative:g} of the kept value, or {tolerance.floor:g} of the largest beside it"
