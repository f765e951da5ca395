"""What a model that learned nothing but frequencies would reach."""

import math

import numpy as np


def unigram_loss(train: np.ndarray, held_out: np.ndarray) -> float:
    """Cross-entropy of held-out tokens under the add-one-smoothed token frequencies of the training split.

    Args:
        train: how often each token of the vocabulary (or each class of image) occurs in the training split.
        held_out: the same for the held-out split.

    Returns:
        -sum_v held_out_v ln((train_v + 1) / sum_w (train_w + 1)) / sum_v held_out_v, in nats per token.
    """
    total = math.log(int(train.sum()) + len(train))
    # Exact summation, so that the last digit does not depend on the machine.
    terms = (n * (total - math.log(k + 1)) for n, k in zip(held_out.tolist(), train.tolist(), strict=True) if n)
    return math.fsum(terms) / int(held_out.sum())
