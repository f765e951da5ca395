"""The training loop: measure, train, checkpoint; resumable at any step without changing a bit."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional

from nervelab.data.batches import TokenStore
from nervelab.probes.measure import LayerSpectra, measure
from nervelab.probes.rows import eigenvalue_rows, estimator_rows, spectra_rows
from nervelab.spectra.moments import NonFiniteError
from nervelab.training.artefacts import Rows
from nervelab.training.checkpoint import Checkpoints
from nervelab.training.preemption import Stopped, StopRequest
from nervelab.training.schedule import learning_rate_factor, measuring_steps

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
        store: TokenStore,
        device: torch.device,
        accumulation: int = 1,
    ) -> None:
        self.config, self.model, self.optimiser, self.store, self.device = (
            config,
            model,
            optimiser,
            store,
            device,
        )
        self.accumulation = accumulation
        self.step = 0
        self.rows = Rows()
        self.clock = Clock()
        self.solvers: set[str] = set()
        self.dtype = PRECISIONS[config.training.precision]
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.dtype is torch.float16)
        self.peaks = [group["lr"] for group in optimiser.param_groups]
        # Since the last row of the history: the sum of the train losses, their number, the last gradient norm.
        self.loss_sum, self.loss_count, self.gradient_norm = 0.0, 0, math.nan

    def state(self) -> dict[str, Any]:
        """Everything that `restore` needs to go on exactly."""
        return {
            "step": self.step,
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "scaler": self.scaler.state_dict(),
            "rng": torch.get_rng_state(),
            "cuda_rng": torch.cuda.get_rng_state(self.device) if self.device.type == "cuda" else None,
            "rows": self.rows.tables,
            "solvers": sorted(self.solvers),
            "clock": (self.clock.train, self.clock.measure),
            "running": (self.loss_sum, self.loss_count, self.gradient_norm),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to a saved state."""
        self.step = state["step"]
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

    def run(self, checkpoints: Checkpoints, stop: StopRequest) -> None:
        """Train to the last step.

        Raises:
            Diverged: something is no longer finite; what was recorded before stays.
            Stopped: a signal asked to stop; the state was saved.
        """
        total = self.config.training.steps
        due = set(measuring_steps(self.config.measure, total))
        while True:
            if self.step in due and self.rows.last_step() != self.step:
                self.measure()
            if self.step == total:
                return
            if stop.number is not None:
                checkpoints.save(self.state())
                raise Stopped(stop.number)
            start = time.perf_counter()
            self.train_step()
            self.clock.train += time.perf_counter() - start
            if checkpoints.due():
                checkpoints.save(self.state())
            checkpoints.tell(self.step, total)

    def train_step(self) -> None:
        """One optimiser step on the batch that (seed, step) determines."""
        training = self.config.training
        inputs_BT, targets_BT = self.batch()
        for group, peak in zip(self.optimiser.param_groups, self.peaks, strict=True):
            group["lr"] = peak * learning_rate_factor(training, self.step)
        self.model.train()
        self.optimiser.zero_grad(set_to_none=True)
        loss = 0.0
        for part_BT, wanted_BT in zip(
            inputs_BT.chunk(self.accumulation), targets_BT.chunk(self.accumulation), strict=True
        ):
            with self.precision():
                part = cross_entropy(self.model(part_BT), wanted_BT) * (len(part_BT) / len(inputs_BT))
            self.scaler.scale(part).backward()
            loss += part.item()
        self.scaler.unscale_(self.optimiser)
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), training.clip or math.inf)
        # Under a loss scale an overflow now and then is how the scale is found; at a scale below 1 it is the network's.
        searching = self.scaler.is_enabled() and self.scaler.get_scale() >= 1
        if not math.isfinite(loss) or not (searching or math.isfinite(norm.item())):
            raise Diverged(f"the loss or its gradient is not finite at step {self.step}")
        self.scaler.step(self.optimiser)
        self.scaler.update()
        self.loss_sum += loss
        self.loss_count += 1
        self.gradient_norm = norm.item()
        self.step += 1

    def batch(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Inputs and targets of the next step, shape (batch, context)."""
        batch = self.store.training_batch(
            seed=self.config.seed,
            step=self.step,
            batch=self.config.training.batch,
            context=self.config.model.context,
        )
        return tuple(part.to(self.device) for part in batch)

    def measure(self) -> None:
        """Record the spectra of every FFN and a row of the history at the current step."""
        start = time.perf_counter()
        settings = self.config.measure
        held_out = self.windows("validation", settings.tokens or self.config.training.eval_tokens)
        if settings.source == "probe":
            eval_loss, layers = self._measured(held_out)
        else:
            _, layers = self._measured(self.batch())
            eval_loss = self.eval_loss(held_out)
        self._record(layers, eval_loss)
        self.clock.measure += time.perf_counter() - start
        self.rows.add("timing", step=self.step, train_seconds=self.clock.train, measure_seconds=self.clock.measure)

    def windows(self, split: str, tokens: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Fixed windows of a held-out split, shape (sequences, context)."""
        return self.store.fixed_windows(split, tokens=tokens, context=self.config.model.context)

    @torch.no_grad()
    def eval_loss(self, windows: tuple[torch.Tensor, torch.Tensor]) -> float:
        """Mean cross-entropy in nats a token over windows of a held-out split, in float32."""
        meter = LossMeter(self.model).eval()
        for chunk in self._chunks(windows):
            meter(chunk)
        return math.fsum(meter.losses) / windows[1].numel()

    def precision(self) -> Any:
        """Autocast to the run's precision, or nothing in float32."""
        return nullcontext() if self.dtype is None else torch.autocast(self.device.type, dtype=self.dtype)

    def _chunks(self, windows: tuple[torch.Tensor, torch.Tensor]) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        parts = (each.split(self.config.measure.chunk) for each in windows)
        for inputs_BT, targets_BT in zip(*parts, strict=True):
            yield inputs_BT.to(self.device), targets_BT.to(self.device)

    def _measured(self, windows: tuple[torch.Tensor, torch.Tensor]) -> tuple[float, list[LayerSpectra]]:
        """The loss and the spectra of every FFN, from one forward over `windows`."""
        meter = LossMeter(self.model)
        try:
            layers = measure(meter, self._chunks(windows), estimators=self.config.measure.estimators)
        except NonFiniteError as error:
            raise Diverged(f"an activation is not finite at step {self.step}") from error
        return math.fsum(meter.losses) / windows[1].numel(), layers

    def _record(self, layers: list[LayerSpectra], eval_loss: float) -> None:
        self.solvers.update(spectrum.solver for layer in layers for spectrum in (layer.pre, layer.post))
        self.rows.extend("spectra", spectra_rows(layers, self.step))
        self.rows.extend("eigenvalues", eigenvalue_rows(layers, self.step))
        self.rows.extend("estimators", estimator_rows(layers, self.step))
        training = self.config.training
        self.rows.add(
            "history",
            step=self.step,
            train_loss=self.loss_sum / self.loss_count if self.loss_count else None,
            eval_loss=eval_loss,
            lr=self.optimiser.param_groups[0]["lr"] if self.step else None,
            gradient_norm=self.gradient_norm if self.step else None,
            tokens=self.step * training.batch * self.config.model.context,
        )
        self.loss_sum, self.loss_count = 0.0, 0


class LossMeter(nn.Module):
    """A model that takes inputs with their targets, and notes the summed loss of every chunk it is given."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.losses: list[float] = []

    def forward(self, chunk: tuple[torch.Tensor, torch.Tensor]) -> None:
        """Inputs and targets of shape (sequences, context)."""
        inputs_BT, targets_BT = chunk
        self.losses.append(cross_entropy(self.model(inputs_BT), targets_BT, reduction="sum").item())


def cross_entropy(logits_BTV: torch.Tensor, targets_BT: torch.Tensor, reduction: str = "mean") -> torch.Tensor:
    """Cross-entropy in nats of the next token, in float32."""
    return functional.cross_entropy(logits_BTV.flatten(0, 1).float(), targets_BT.flatten(), reduction=reduction)
