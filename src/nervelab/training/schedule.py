"""When to measure, what is random in it, and the learning rate at each step."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from nervelab.study.config import Measure, Training


def measuring_steps(measure: Measure, total: int) -> tuple[int, ...]:
    """The numbers of completed steps after which a run of `total` steps is measured, ascending, with the last one."""
    if measure.every is not None:
        later = [*range(measure.every, total, measure.every), total]
    else:
        later = [round(total * k / measure.points) for k in range(1, measure.points + 1)]
    return tuple(sorted({step for step in (*measure.early, *later) if step <= total}))


def measuring_seed(seed: int, step: int) -> int:
    """Of the dropout of what is measured at a step: a word of the run's seed that nothing else is drawn from."""
    return int(np.random.Philox(key=[seed, step], counter=[0, 0, 0, 2]).random_raw())


def learning_rate_factor(training: Training, step: int) -> float:
    """The share of the peak rate at 0-based `step`: linear warm-up, then decay to `final_lr` at the last step.

    The decay takes `decay_share` of the steps, at most those after the warm-up; between the two the rate is constant.
    """
    warmup = round(training.warmup * training.steps)
    if step < warmup:
        return (step + 1) / warmup
    start = max(warmup, training.steps - round(training.decay_share * training.steps))
    if training.decay == "constant" or step < start:
        return 1.0
    progress = (step - start) / max(1, training.steps - 1 - start)
    left = 1 - progress if training.decay == "linear" else (1 + math.cos(math.pi * progress)) / 2
    return training.final_lr + (1 - training.final_lr) * left
