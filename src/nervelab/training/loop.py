"""The training loop: measure, train, checkpoint; resumable at any step without changing a bit."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from nervelab.probes.measure import LayerSpectra, measure
from nervelab.probes.rows import eigenvalue_rows, estimator_rows, spectra_rows
from nervelab.spectra.moments import NonFiniteError
from nervelab.training.artefacts import Rows
from nervelab.training.checkpoint import Checkpoints
from nervelab.training.preemption import SPARE_SECONDS, StopRequest
from nervelab.training.schedule import learning_rate_factor, measuring_seed, measuring_steps
from nervelab.training.task import Batch, Task, batch_digest

if TYPE_CHECKING:
    from nervelab.study.config import RunConfig

PRECISIONS = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}


class Diverged(Exception):
    """A loss, a gradient or an activation is no longer finite."""


@dataclass
class Clock:
    """Seconds spent so far, over all executions of the run."""

    train: float = 0.0
    measure: float = 0.0


class Loop:
    """One run: its model, its optimiser and what has been recorded so far."""

    def __init__(
        self,
        config: RunConfig,
        *,
        model: nn.Module,
        optimiser: torch.optim.Optimizer,
        task: Task,
        device: torch.device,
        accumulation: int = 1,
    ) -> None:
        self.config, self.model, self.optimiser, self.task, self.device = config, model, optimiser, task, device
        self.accumulation = accumulation
        self.step = self.tokens = 0
        self.rows = Rows()
        self.clock = Clock()
        self.solvers: set[str] = set()
        self.dtype = PRECISIONS[config.training.precision]
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.dtype is torch.float16)
        self.peaks = [group["lr"] for group in optimiser.param_groups]
        # Since the last row of the history: the sum of the train losses, and their number.
        self.loss_sum, self.loss_count = 0.0, 0
        # The rate factor of each of those steps, and the digest of its batch.
        self.rates: list[float] = []
        self.batches: list[int] = []
        # Of the last step; None before the first and where it overflowed.
        self.gradient_norm: float | None = None

    def state(self) -> dict[str, Any]:
        """Everything that `restore` needs to go on exactly."""
        return {
            "step": self.step,
            "tokens": self.tokens,
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "scaler": self.scaler.state_dict(),
            "rng": torch.get_rng_state(),
            "cuda_rng": torch.cuda.get_rng_state(self.device) if self.device.type == "cuda" else None,
            "rows": self.rows.tables,
            "solvers": sorted(self.solvers),
            "clock": (self.clock.train, self.clock.measure),
            "running": (self.loss_sum, self.loss_count, self.gradient_norm),
            "steps": (self.rates, self.batches),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to a saved state."""
        self.step, self.tokens = state["step"], state["tokens"]
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.scaler.load_state_dict(state["scaler"])
        torch.set_rng_state(state["rng"].cpu())
        if state["cuda_rng"] is not None:
            torch.cuda.set_rng_state(state["cuda_rng"].cpu(), self.device)
        self.rows = Rows(state["rows"])
        self.solvers = set(state["solvers"])
        self.clock = Clock(*state["clock"])
        self.loss_sum, self.loss_count, self.gradient_norm = state["running"]
        self.rates, self.batches = state["steps"]

    def run(self, checkpoints: Checkpoints, stop: StopRequest) -> None:
        """Train to the last step.

        Raises:
            Diverged: something is no longer finite; what was recorded before stays.
            Stopped: it was asked to stop; the state was saved.
            NervelabError: the run has another trainer.
        """
        total = self.config.training.steps
        longest, begun = self.rows.longest_measurement(), time.monotonic()
        for step in self.steps(total):
            longest = max(longest, time.monotonic() - begun)
            # Twice what the slowest step and save have taken so far, as the next ones may take longer.
            asked = stop.asked(SPARE_SECONDS + 2 * (longest + checkpoints.longest_save))
            if asked is not None:
                checkpoints.save(self.state())
                raise asked
            if checkpoints.due():
                checkpoints.save(self.state())
            checkpoints.tell(step, total)
            begun = time.monotonic()

    def steps(self, last: int) -> Iterator[int]:
        """Train until `last` steps are done, measuring where that is due; yields each step before it is taken.

        Raises:
            Diverged: something is no longer finite; what was recorded before stays.
        """
        due = set(measuring_steps(self.config.measure, self.config.training.steps))
        while True:
            if self.step in due and self.rows.last_step() != self.step:
                self.measure()
            if self.step >= last:
                return
            yield self.step
            start = time.perf_counter()
            self.train_step()
            self.clock.train += time.perf_counter() - start

    def train_step(self) -> None:
        """One optimiser step on the batch that (seed, step) determines."""
        training = self.config.training
        batch, rate = self.task.training_batch(self.step), learning_rate_factor(training, self.step)
        inputs, targets = self._here(batch)
        count = self.task.count(targets)
        for group, peak in zip(self.optimiser.param_groups, self.peaks, strict=True):
            group["lr"] = peak * rate
        self.model.train()
        self.optimiser.zero_grad(set_to_none=True)
        loss = 0.0
        for some, wanted in zip(inputs.chunk(self.accumulation), targets.chunk(self.accumulation), strict=True):
            with self.precision():
                part = self.task.loss_sum(self.model(some), wanted) / count
            self.scaler.scale(part).backward()
            loss += part.item()
        self.scaler.unscale_(self.optimiser)
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), training.clip or math.inf).item()
        # Under a loss scale an overflow now and then is how the scale is found; at a scale below 1 it is the network's.
        searching = self.scaler.is_enabled() and self.scaler.get_scale() >= 1
        if not math.isfinite(loss) or not (searching or math.isfinite(norm)):
            raise Diverged(f"the loss or its gradient is not finite at step {self.step}")
        self.scaler.step(self.optimiser)
        self.scaler.update()
        self.loss_sum += loss
        self.loss_count += 1
        self.rates.append(rate)
        self.batches.append(batch_digest(batch))
        self.gradient_norm = norm if math.isfinite(norm) else None
        self.step += 1
        self.tokens += count * self.task.tokens_per_target

    def measure(self) -> None:
        """Record the spectra of every FFN and a row of the history at the current step."""
        start = time.perf_counter()
        meter, layers = self._measured()
        self._record(layers, self._evaluation(meter))
        self.clock.measure += time.perf_counter() - start
        self.rows.add("timing", step=self.step, train_seconds=self.clock.train, measure_seconds=self.clock.measure)

    def evaluate(self) -> Evaluation:
        """The model on the whole evaluation set, in float32."""
        return self._evaluated(self.task.evaluated())

    def precision(self) -> Any:
        """Autocast to the run's precision, or nothing in float32."""
        return nullcontext() if self.dtype is None else torch.autocast(self.device.type, dtype=self.dtype)

    def _here(self, batch: Batch) -> Batch:
        return tuple(part.to(self.device) for part in batch)

    def _measured(self) -> tuple[Meter, list[LayerSpectra]]:
        """The loss and the spectra of every FFN, from one forward."""
        meter = Meter(self.model, self.task)
        try:
            with self.precision():  # which the mode "eval" switches off
                layers = measure(
                    meter,
                    (self._here(batch) for batch in self.task.measured(self.step)),
                    self.task.sites(self.model),
                    self.config.measure.estimators,
                    positions=self.task.positions,
                    mode=self.config.measure.mode,
                    seed=measuring_seed(self.config.seed, self.step),
                )
        except NonFiniteError as error:
            raise Diverged(f"an activation is not finite at step {self.step}") from error
        return meter, layers

    def _evaluation(self, meter: Meter) -> Evaluation:
        """The eval loss of this step: always that of eval mode in float32."""
        if not self.task.measured_is_evaluated:
            return self.evaluate()
        if self.config.measure.mode == "eval":
            return meter.evaluation()
        return self._evaluated(self.task.measured(self.step))

    @torch.no_grad()
    def _evaluated(self, batches: Iterable[Batch]) -> Evaluation:
        meter = Meter(self.model, self.task).eval()
        for batch in batches:
            meter(self._here(batch))
        return meter.evaluation()

    def _record(self, layers: list[LayerSpectra], evaluation: Evaluation) -> None:
        self.solvers.update(spectrum.solver for layer in layers for spectrum in (layer.pre, layer.post))
        self.rows.extend("spectra", spectra_rows(layers, self.step))
        self.rows.extend("eigenvalues", eigenvalue_rows(layers, self.step))
        self.rows.extend("estimators", estimator_rows(layers, self.step))
        self.rows.add(
            "history",
            step=self.step,
            train_loss=self.loss_sum / self.loss_count if self.loss_count else None,
            eval_loss=evaluation.loss,
            eval_accuracy=evaluation.accuracy,
            lr=self.optimiser.param_groups[0]["lr"] if self.step else None,
            gradient_norm=self.gradient_norm,
            tokens=self.tokens,
            rates=self.rates,
            batches=self.batches,
        )
        self.loss_sum, self.loss_count, self.rates, self.batches = 0.0, 0, [], []


@dataclass(frozen=True)
class Evaluation:
    """Mean cross-entropy in nats a target, and the share of targets that the largest output names, if it is counted."""

    loss: float
    accuracy: float | None


class Meter(nn.Module):
    """A model that takes inputs with their targets, and sums up how well it does on every batch it is given."""

    def __init__(self, model: nn.Module, task: Task) -> None:
        super().__init__()
        self.model, self.task = model, task
        self.losses: list[float] = []
        self.count, self.correct = 0, 0
        self.counts_correct = True

    def forward(self, batch: Batch) -> None:
        """A batch on the model's device."""
        inputs, targets = batch
        outputs = self.model(inputs)
        self.losses.append(self.task.loss_sum(outputs, targets).item())
        self.count += self.task.count(targets)
        correct = self.task.correct(outputs, targets)
        self.counts_correct &= correct is not None
        self.correct += correct or 0

    def evaluation(self) -> Evaluation:
        """How well it did so far."""
        accuracy = self.correct / self.count if self.counts_correct else None
        return Evaluation(math.fsum(self.losses) / self.count, accuracy)
