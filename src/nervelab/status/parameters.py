"""The size of a run's model, which takes torch to know before it is trained."""

import importlib

import torch

from nervelab.study.components import components
from nervelab.study.config import RunConfig


def parameter_count(config: RunConfig) -> int:
    """The number of trainable parameters of a run's model, shared tensors counted once; allocates nothing."""
    family = importlib.import_module(components(config)["model"])
    with torch.device("meta"):
        model = family.build(config.model, config.outputs)
    return sum(each.numel() for each in model.parameters())
