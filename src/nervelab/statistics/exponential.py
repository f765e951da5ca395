"""exp where a single run may have a number that is too large for it."""

import math
import sys

LARGEST = math.log(sys.float_info.max)  # 709.78


def perplexity(loss: float) -> float | None:
    """exp of an eval loss in nats; None where no float64 holds it: of such a run the loss says it all."""
    return math.exp(loss) if loss < LARGEST else None


def exponential(logarithm: float) -> float:
    """exp, infinite where no float64 holds it."""
    return math.exp(logarithm) if logarithm < LARGEST else math.inf
