"""What determines the numbers of a run, as frozen, strictly typed records.

Everything here is hashed into identities. How a run is executed (device, threads, checkpoints, paths) is
`nervelab.training.execution.Execution`, which never is.
"""

from nervelab.study.config.data import (
    Dataset,
    FolderSource,
    HubImages,
    HubSource,
    HubTokenizer,
    ImageDataset,
    Package,
    PackagedDigits,
    PackagedTokenizer,
    PackageSource,
    TextDataset,
    TextPackage,
    Tokenizer,
    TrainedTokenizer,
)
from nervelab.study.config.models import (
    DecoderModel,
    MixerModel,
    Model,
)
from nervelab.study.config.optimisers import (
    SGD,
    Adafactor,
    Adam,
    AdamW,
    Dion,
    Muon,
    Optimiser,
)
from nervelab.study.config.record import (
    Record,
)
from nervelab.study.config.run import (
    Measure,
    RunConfig,
    Training,
)

__all__ = [
    "SGD",
    "Adafactor",
    "Adam",
    "AdamW",
    "Dataset",
    "DecoderModel",
    "Dion",
    "FolderSource",
    "HubImages",
    "HubSource",
    "HubTokenizer",
    "ImageDataset",
    "Measure",
    "MixerModel",
    "Model",
    "Muon",
    "Optimiser",
    "Package",
    "PackageSource",
    "PackagedDigits",
    "PackagedTokenizer",
    "Record",
    "RunConfig",
    "TextDataset",
    "TextPackage",
    "Tokenizer",
    "TrainedTokenizer",
    "Training",
]
