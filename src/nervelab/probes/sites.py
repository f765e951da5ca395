"""Finds the feed-forward networks of any module by their structure."""

from dataclasses import dataclass

from torch import Tensor, nn

from nervelab.errors import NervelabError

_REMEDY = "pass the FFNs explicitly as a list of FFNSite."
_DOWN = {"c_proj", "fc2", "lin2", "linear2", "w2", "wo"}
_GATE = {"w1", "wi_0"}
_ATTENTION = {"q", "k", "v", "kv", "query", "key", "value", "q_proj", "k_proj", "v_proj", "kv_proj"}


@dataclass(frozen=True, eq=False)
class FFNSite:
    """Where one FFN is measured.

    Attributes:
        name: the dotted name of the FFN in its model.
        pre: the linear map whose output is the pre-activation: the up projection, or the gate if there is one.
        down: the linear map whose input is the post-activation.
    """

    name: str
    pre: nn.Module
    down: nn.Module

    def __post_init__(self) -> None:
        for role, module in (("pre", self.pre), ("down", self.down)):
            if _shape(module) is None:
                raise NervelabError(
                    f"`{role}` of FFN '{self.name}' is a {type(module).__name__}, not a linear map: "
                    "give an nn.Linear or a Conv1D of transformers."
                )
        if _shape(self.pre)[1] != _shape(self.down)[0]:
            raise NervelabError(
                f"FFN '{self.name}': `pre` has {_shape(self.pre)[1]} outputs but `down` takes "
                f"{_shape(self.down)[0]} inputs: give the two projections of one FFN."
            )

    def weight(self) -> Tensor:
        """W [D, d] of the pre-activation W x + b, detached.

        Read it in eval mode: under a spectral norm in training mode, reading advances the power iteration.
        """
        weight = self.pre.weight.detach()
        return weight.T if _is_conv1d(self.pre) else weight


def find_ffns(model: nn.Module) -> list[FFNSite]:
    """The FFNs of a model, in the order in which it registers them.

    An FFN is a module with exactly two linear maps among its direct children, d to D and D to d, or three of which
    two go from d to D (gated). Which of two leads down is told by their order in a Sequential, else by name ('down',
    'c_proj', 'fc2', ...), else by D > d; which of two equal maps is the gate, by name ('gate', 'w1', ...).

    Raises:
        NervelabError: an FFN whose projections cannot be told apart, or no FFN at all.
    """
    sites = [site for name, module in model.named_modules() if (site := _ffn(name, module)) is not None]
    if not sites:
        raise NervelabError(f"no FFN was found in {type(model).__name__}: {_REMEDY}")
    return sites


def _ffn(name: str, module: nn.Module) -> FFNSite | None:
    linears = {key: child for key, child in module.named_children() if _shape(child) is not None}
    in_order = isinstance(module, nn.Sequential)
    if len(linears) not in ((2,) if in_order else (2, 3)):
        return None
    shapes = {key: _shape(child) for key, child in linears.items()}
    fitting = [key for key in linears if all(shapes[other] == shapes[key][::-1] for other in linears if other != key)]
    if not fitting or (len(fitting) > 1 and _ATTENTION & set(linears)):
        return None
    down = list(linears)[-1] if in_order else _down(name, fitting, shapes)
    entries = [key for key in linears if key != down]
    pre = entries[0] if len(entries) == 1 else _gate(name, entries)
    return FFNSite(name=name, pre=linears[pre], down=linears[down])


def _down(name: str, fitting: list[str], shapes: dict[str, tuple[int, int]]) -> str:
    named = [key for key in fitting if "down" in key.lower() or key.lower() in _DOWN]
    narrowing = [key for key in fitting if shapes[key][0] > shapes[key][1]]
    for told in (fitting, named, narrowing):
        if len(told) == 1:
            return told[0]
    raise NervelabError(f"'{name}' may be an FFN, but which of {_listed(fitting)} leads down is unclear: {_REMEDY}")


def _gate(name: str, entries: list[str]) -> str:
    named = [key for key in entries if "gate" in key.lower() or key.lower() in _GATE]
    if len(named) != 1:
        raise NervelabError(f"which of {_listed(entries)} is the gate of the FFN '{name}' is unclear: {_REMEDY}")
    return named[0]


def _listed(keys: list[str]) -> str:
    return ", ".join(f"'{key}'" for key in keys)


def _is_conv1d(module: nn.Module) -> bool:
    """Whether it is the Conv1D of transformers, a linear map that stores W^T; told without importing it."""
    return type(module).__name__.endswith("Conv1D") and hasattr(module, "nx") and hasattr(module, "nf")


def _shape(module: nn.Module) -> tuple[int, int] | None:
    """(inputs, outputs) of a linear map, read without touching its weight; None for anything else."""
    if isinstance(module, nn.Linear):
        return module.in_features, module.out_features
    return (module.nx, module.nf) if _is_conv1d(module) else None
