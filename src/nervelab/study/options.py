"""What may be said on the command line of Snakemake: `--config key=value`, or `config` in a profile."""

import re
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from nervelab.errors import NervelabError
from nervelab.study.config.record import Positive, Record
from nervelab.study.params import ScaleName, checked


def _trains(device: str) -> str:
    if not re.fullmatch(r"cpu|cuda(:\d+)?", device):
        raise ValueError(f"{device!r} is no device that this trains on; use cpu, cuda, or one GPU like cuda:0")
    return device


Device = Annotated[str, AfterValidator(_trains)]


class Options(Record):
    """Which part of params.yaml is made, and how its runs are executed. Nothing here is part of a run's identity.

    `device` is cpu, cuda, or one GPU by its number; a batch is trained in `accumulation` parts. Where they are given,
    they count for every training, whatever workflow/execution.yaml says.
    """

    scale: ScaleName | None = None
    only: str | None = None
    device: Device | None = None
    accumulation: Positive | None = None
    checkpoint_seconds: Annotated[float, Field(ge=0)] = 5.0


def read_options(config: dict[str, Any]) -> Options:
    """The options that were given.

    Raises:
        NervelabError: a key that is not known, or a value that it may not have.
    """
    unknown = sorted(set(config) - set(Options.model_fields))
    if unknown:
        raise NervelabError(
            f"--config knows no {', '.join(map(str, unknown))}: use one of {', '.join(Options.model_fields)}."
        )
    return checked(Options, config, lambda keys: f"--config: {'.'.join(map(str, keys))}")
