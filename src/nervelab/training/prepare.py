"""From a plan to the loop that trains it."""

from __future__ import annotations

import importlib
import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import torch

from nervelab.errors import NervelabError
from nervelab.training.execution import Execution
from nervelab.training.loop import Loop

if TYPE_CHECKING:
    from nervelab.study.config import RunConfig


def prepared(plan: dict[str, Any], execution: Execution, device: torch.device) -> Loop:
    """The loop of a plan before its first step: data, model and optimiser, drawn from the run's seed.

    Raises:
        NervelabError: the data are damaged, or are not those of the plan.
    """
    config: RunConfig = json.loads(json.dumps(plan["config"]), object_hook=lambda each: SimpleNamespace(**each))
    parts = {name: importlib.import_module(module) for name, module in plan["components"].items()}
    task, (data_id,) = parts["task"].open_task(config, execution.data), plan["inputs"].values()
    task.store.verify()
    if task.store.id != data_id:
        raise NervelabError(f"{execution.data} holds the data {task.store.id}, not {data_id}: run make again.")
    torch.manual_seed(config.seed)
    model = parts["model"].build(config.model, task.outputs).to(device)
    optimiser = parts["optimiser"].build(config.optimiser, model)
    return Loop(config, model=model, optimiser=optimiser, task=task, device=device, accumulation=execution.accumulation)
