"""One run: the records of its parts, how it is trained and when it is measured."""

from typing import Annotated, Literal

from pydantic import Field, Strict, field_validator, model_validator

from nervelab.errors import NervelabError
from nervelab.spectra.names import parse
from nervelab.study.config.data import Dataset, Tokenizer
from nervelab.study.config.models import Model
from nervelab.study.config.optimisers import Optimiser
from nervelab.study.config.record import AS_BEFORE, Positive, Record, Share, Steps


class Training(Record):
    """How long, on how much, under which schedule.

    `batch` counts sequences, or images; `warmup` and `decay_share` are shares of the steps, `final_lr` one of the peak
    learning rate: the rate rises over the first, falls over the last (of what is left), and is constant between.
    `windows` are crops anywhere in the running text; or whole documents, cut at the context or filled up with padding
    that neither the loss nor a measurement sees; or chunks, as in the code released with NerVE: each document cut from
    its front into pieces of the context's length, the rest left out, all of whose tokens are measured and all but the
    first are targets. `eval_tokens` counts the tokens of the windows, padding too; it is null for images: the whole
    validation split. What a history counts as tokens are targets.
    `augmentation` changes the training images (AutoAugment by CIFAR-10's policy, CutMix).
    A run whose final eval loss is above the unigram loss (of images: of the labels) less `stuck_margin` (nats) is
    recorded as stuck.
    """

    steps: Positive
    batch: Positive
    warmup: Share
    decay: Literal["cosine", "linear", "constant"]
    decay_share: Annotated[float, Field(gt=0, le=1)] = 1.0
    final_lr: Share
    clip: Annotated[float, Field(gt=0)] | None
    precision: Literal["float32", "bfloat16", "float16"]
    windows: Literal["crops", "documents", "chunks"] = "crops"
    augmentation: Annotated[tuple[Literal["autoaugment", "cutmix"], ...], Strict(False)] = ()
    eval_tokens: Positive | None
    stuck_margin: Annotated[float, Field(ge=0)]


class Measure(Record):
    """When and on what the FFNs are measured.

    At each of the steps `early`, and at `points` equally spaced ones (or after every `every` steps) up to the last.
    `source` is the fixed held-out probe, the training batch in hand, or the whole training set, streamed without
    augmentation (the latter two give the number of tokens themselves).
    `chunk` is the number of sequences, or images, of one forward pass. `by_position` measures the thirds of a sequence,
    or the upper and the lower patches of an image, beside all of it. `estimators` are measured from the same
    activations, each under its name (see `nervelab.spectra.names`); one of them is always `full`.
    The `mode` is that of the measured forward: `eval` is in float32, `train` has dropout and the precision of training.
    The eval loss is in `eval` always.
    """

    source: Literal["probe", "batch", "training-set"]
    tokens: Positive | None
    early: Steps
    points: Positive | None = None
    every: Positive | None = None
    chunk: Positive
    by_position: bool = False
    estimators: Annotated[tuple[str, ...], Strict(False)] = ("full",)
    mode: Annotated[Literal["eval", "train"], AS_BEFORE] = "eval"

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
            raise ValueError("tokens must be given for the source probe, and be null for the others")
        return self


class RunConfig(Record):
    """Everything that determines the numbers of one training."""

    dataset: Dataset
    tokenizer: Tokenizer | None
    model: Model
    training: Training
    optimiser: Optimiser
    measure: Measure
    seed: Annotated[int, Field(ge=0)]

    @property
    def outputs(self) -> int:
        """The size of the model's output: the vocabulary, or the number of classes."""
        return self.dataset.classes if self.tokenizer is None else self.tokenizer.vocabulary

    @model_validator(mode="after")
    def _parts_fit(self) -> "RunConfig":
        if self.model.family == "mixer":
            self._fits_images()
        else:
            self._fits_text()
        return self

    def _fits_images(self) -> None:
        if self.dataset.modality != "images" or self.tokenizer is not None:
            raise ValueError("a mixer takes a data set of images, and null for its tokenizer")
        if self.dataset.size != self.model.image:
            raise ValueError(f"model.image ({self.model.image}) must be the data set's size ({self.dataset.size})")
        if self.training.eval_tokens is not None or self.measure.source != "training-set":
            raise ValueError("with images training.eval_tokens must be null and measure.source training-set")
        if self.training.windows != "crops":
            raise ValueError("training.windows is a setting of text: leave it out with images")

    def _fits_text(self) -> None:
        if self.dataset.modality != "text" or self.tokenizer is None:
            raise ValueError("a decoder takes a data set of text, and a tokenizer")
        if self.training.augmentation or self.measure.source == "training-set":
            raise ValueError("training.augmentation and the source training-set are for images")
        of_head = getattr(self.optimiser, "rest", self.optimiser)
        if self.model.tied_embeddings and getattr(of_head, "head_lr", None) is not None:
            raise ValueError("a tied head is the embedding and has its rate: leave head_lr of the optimiser null")
        if self.training.eval_tokens is None:
            raise ValueError("training.eval_tokens must be given with text")
        if self.training.windows == "chunks" and self.model.context == 1:
            raise ValueError("a chunk of one token has no target: raise model.context, or take other training.windows")
        for key, tokens in (
            ("measure.tokens", self.measure.tokens),
            ("training.eval_tokens", self.training.eval_tokens),
        ):
            if tokens is not None and tokens % self.model.context:
                raise ValueError(f"{key} ({tokens}) must be a multiple of model.context ({self.model.context})")
