"""Hooks that live for one measurement, and the state of the model around it."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor, nn


class Observer(Protocol):
    """What activations are streamed into."""

    def update(self, x_ND: Tensor) -> None:
        """Take the rows of a chunk; they must not be kept or changed."""


@contextmanager
def tapped(taps: Iterable[tuple[nn.Module, Observer]]) -> Iterator[None]:
    """Stream the inputs of modules into observers while the block lasts; activations are not kept.

    All leading dimensions of an input are tokens. The hooks are gone after the block, however it ends.
    """
    with ExitStack() as stack:
        for module, observer in taps:
            handle = module.register_forward_pre_hook(partial(_observe, observer), with_kwargs=True)
            stack.callback(handle.remove)
        yield


def _observe(observer: Observer, _module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    (x,) = (*args, *kwargs.values())
    observer.update(x.detach().reshape(-1, x.shape[-1]))


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Eval mode without gradients and without autocast; afterwards each submodule is in the mode it was in.

    Eval mode switches dropout off and keeps the power iteration of a spectral norm where it is.
    """
    modes = {module: module.training for module in model.modules()}
    devices = {"cpu"} | {parameter.device.type for parameter in model.parameters()}
    try:
        model.eval()
        with ExitStack() as stack:
            stack.enter_context(torch.no_grad())
            for device in sorted(devices):
                stack.enter_context(torch.autocast(device, enabled=False))
            yield
    finally:
        for module, training in modes.items():
            module.training = training
