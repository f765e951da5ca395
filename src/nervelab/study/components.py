"""Which module implements each component that a setting names. A new model family or optimiser is entered here.

Components are loaded by name, so that a run's code fingerprint covers its own components and no others.
"""

from nervelab.study.config import RunConfig

TRAINER = "nervelab.training.__main__"

MODEL_FAMILIES = {"decoder": "nervelab.models.decoder", "mixer": "nervelab.models.mixer"}
TASKS = {"text": "nervelab.training.text", "images": "nervelab.training.images"}
OPTIMISERS = {
    "adamw": "nervelab.optim.adamw",
    "adam": "nervelab.optim.adam",
    "sgd": "nervelab.optim.sgd",
    "adafactor": "nervelab.optim.adafactor",
    "muon": "nervelab.optim.muon",
    "dion": "nervelab.optim.dion",
}


def components(config: RunConfig) -> dict[str, str]:
    """The modules a run loads by name: `model`, `optimiser` and `task`."""
    return {
        "model": MODEL_FAMILIES[config.model.family],
        "optimiser": OPTIMISERS[config.optimiser.name],
        "task": TASKS[config.dataset.modality],
    }
