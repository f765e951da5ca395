"""The optimisers."""

from typing import Annotated, Literal

from pydantic import Field, Strict, model_validator

from nervelab.study.config.record import AS_BEFORE, Record, Share

Rate = Annotated[float, Field(gt=0)]
Decay = Annotated[float, Field(ge=0)]
Momentum = Annotated[float, Field(ge=0, lt=1)]
Betas = Annotated[tuple[Share, Share], Strict(False)]
Epsilon = Annotated[float, Field(gt=0)]
# What each is stands in `nervelab.optim.groups`.
Role = Literal["matrix", "bias", "layernorm", "rmsnorm", "slope", "vector", "embedding", "head"]
Roles = Annotated[tuple[Role, ...], Strict(False)]


class AdamW(Record):
    """Decoupled weight decay, on the parameter roles named in `decay`.

    The head has the rate `head_lr` (null: `lr`), or "by-width" lr / sqrt(d).
    """

    name: Literal["adamw"]
    lr: Rate
    head_lr: Annotated[Rate | Literal["by-width"] | None, AS_BEFORE] = None
    betas: Betas
    eps: Epsilon
    weight_decay: Decay
    decay: Roles


class Adam(Record):
    """Weight decay added to the gradient, on the parameter roles named in `decay`."""

    name: Literal["adam"]
    lr: Rate
    betas: Betas
    eps: Epsilon
    weight_decay: Decay
    decay: Roles


class SGD(Record):
    """Stochastic gradient descent; weight decay added to the gradient, on the parameter roles named in `decay`."""

    name: Literal["sgd"]
    lr: Rate
    momentum: Momentum
    weight_decay: Decay
    decay: Roles


class Adafactor(Record):
    """torch's Adafactor, not Hugging Face's: step t takes min(lr, 1 / sqrt(t)), times the root mean square of a tensor.

    The second moment decays by t^`beta2_decay`; `eps` are the floors of the second moment (null: the smallest relative
    step of its float type) and of that root mean square; an update is clipped to the root mean square `clip` (torch's
    `d`). Decoupled weight decay, on the parameter roles named in `decay`.
    """

    name: Literal["adafactor"]
    lr: Rate
    beta2_decay: Annotated[float, Field(le=0)]
    eps: Annotated[tuple[Epsilon | None, Epsilon], Strict(False)]
    clip: Annotated[float, Field(ge=1)]
    weight_decay: Decay
    decay: Roles


class _OverMatrices(Record):
    """An optimiser of the hidden matrices; everything else is trained by the AdamW of `rest`.

    `lr` and `weight_decay` (decoupled) are those of the matrices, `rest` has its own.
    """

    lr: Rate
    weight_decay: Decay
    rest: AdamW

    @model_validator(mode="after")
    def _rest_has_no_matrices(self) -> "_OverMatrices":
        if "matrix" in self.rest.decay:
            raise ValueError("rest.decay names matrix, but rest trains no matrices: remove it there")
        return self


class Muon(_OverMatrices):
    """torch's Muon, with `ns_steps` iterations of Newton-Schulz in bfloat16.

    `adjust_lr_fn` scales the step of a matrix of shape (m, n): original by sqrt(max(1, m / n)), spectral_unclamped by
    sqrt(m / n), as Dion does, match_rms_adamw by 0.2 sqrt(max(m, n)).
    """

    name: Literal["muon"]
    momentum: Momentum
    nesterov: bool
    ns_steps: Annotated[int, Field(gt=0, lt=100)]
    adjust_lr_fn: Literal["original", "spectral_unclamped", "match_rms_adamw"]


class Dion(_OverMatrices):
    """Dion (Ahn et al. 2025): momentum `mu`, updates of `rank_fraction` of the full rank.

    `eps` is added to the norms that columns are divided by. The initial right factors are drawn after the model's
    weights, from the run's seed.
    """

    name: Literal["dion"]
    mu: Momentum
    rank_fraction: Annotated[float, Field(gt=0, le=1)]
    eps: Epsilon


Optimiser = Annotated[AdamW | Adam | SGD | Adafactor | Muon | Dion, Field(discriminator="name")]
