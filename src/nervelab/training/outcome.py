"""How a run ended, judged by its final evaluation."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nervelab.study.config import Training
    from nervelab.training.loop import Evaluation


def judged(evaluation: Evaluation | None, unigram_loss: float, training: Training) -> tuple[str, dict[str, Any]]:
    """The outcome and the final figures, as run.json has them.

    A run that got to no finite evaluation diverged; one whose eval loss is near the unigram loss (nats) is stuck; any
    other finished.
    """
    reached = evaluation is not None and math.isfinite(evaluation.loss)
    loss, accuracy = (evaluation.loss, evaluation.accuracy) if reached else (None, None)
    final = {"eval_loss": loss, "eval_accuracy": accuracy}
    final |= {"eval_tokens": training.eval_tokens, "unigram_loss": unigram_loss}
    if not reached:
        return "diverged", final
    return ("stuck" if loss > unigram_loss - training.stuck_margin else "finished"), final
