"""Hooks that live for one measurement, and the state of the model around it."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import ParametrizationList


class Observer(Protocol):
    """What activations are streamed into."""

    def update(self, x_ND: Tensor) -> None:
        """Take the rows of a chunk; they must not be kept or changed."""


@contextmanager
def tapped(
    taps: Iterable[tuple[nn.Module, Observer]], outputs: Iterable[tuple[nn.Module, Observer]] = ()
) -> Iterator[None]:
    """Stream the inputs of modules into observers while the block lasts, and of `outputs` the outputs.

    Activations are not kept. All leading dimensions of one are tokens. Observers work without autocast, whatever the
    modules do. The hooks are gone after the block, however it ends.
    """
    with ExitStack() as stack:
        for module, observer in taps:
            handle = module.register_forward_pre_hook(partial(_observe_input, observer), with_kwargs=True)
            stack.callback(handle.remove)
        for module, observer in outputs:
            stack.callback(module.register_forward_hook(partial(_observe_output, observer)).remove)
        yield


def _observe_input(observer: Observer, _module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    (x,) = (*args, *kwargs.values())
    _observe(observer, x)


def _observe_output(observer: Observer, _module: nn.Module, _args: tuple[Any, ...], output: Tensor) -> None:
    _observe(observer, output)


def _observe(observer: Observer, x: Tensor) -> None:
    with torch.autocast(x.device.type, enabled=False):
        observer.update(x.detach().reshape(-1, x.shape[-1]))


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Eval mode without gradients and without autocast; afterwards each submodule is in the mode it was in.

    Eval mode switches dropout off and keeps the power iteration of a spectral norm where it is.
    """
    with _modes_kept(model), ExitStack() as stack:
        model.eval()
        stack.enter_context(torch.no_grad())
        for device in _device_types(model):
            stack.enter_context(torch.autocast(device, enabled=False))
        yield


@contextmanager
def as_in_training(model: nn.Module, seed: int | None = None) -> Iterator[None]:
    """Train mode without gradients, under the autocast that the caller has entered, if any.

    Afterwards modes, buffers, and the random generators of the CPU and of the model's GPUs are as they were. Inside,
    these are seeded with `seed`, or go on from where they are. What computes weights from parameters stays in eval
    mode, so that the power iteration of a spectral norm stays where it is and weights are those that are read outside.
    """
    gpus = sorted({each.device.index for each in model.parameters() if each.device.type == "cuda"})
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    with _modes_kept(model), torch.no_grad(), torch.random.fork_rng(gpus, device_type="cuda"):
        if seed is not None:
            # Not torch.manual_seed, which seeds also the GPUs that are not forked.
            for generator in (torch.default_generator, *(torch.cuda.default_generators[gpu] for gpu in gpus)):
                generator.manual_seed(seed)
        model.train()
        for module in model.modules():
            if isinstance(module, ParametrizationList):
                module.eval()
        try:
            yield
        finally:
            for buffer, before in buffers:
                buffer.copy_(before)


def autocasting(model: nn.Module) -> bool:
    """Whether an autocast is on where the model computes."""
    return any(map(torch.is_autocast_enabled, _device_types(model)))


@contextmanager
def _modes_kept(model: nn.Module) -> Iterator[None]:
    modes = {module: module.training for module in model.modules()}
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training


def _device_types(model: nn.Module) -> list[str]:
    return sorted({"cpu"} | {parameter.device.type for parameter in model.parameters()})
