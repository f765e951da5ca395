"""How findings are decided, and how trained networks are probed: `analysis:` and `probe:` in params.yaml.

Neither changes a training.
"""

from typing import Annotated

from pydantic import Field

from nervelab.study.config import Record


class Analysis(Record):
    """What the statistics are taken with.

    `window_start` is the share of training after which checkpoints enter correlations; `confidence` the level of the
    intervals; `bootstrap` the number of resamples, drawn from `seed`.
    """

    window_start: Annotated[float, Field(ge=0, lt=1)]
    confidence: Annotated[float, Field(gt=0, lt=1)]
    bootstrap: Annotated[int, Field(ge=100, le=10**7)]
    seed: Annotated[int, Field(ge=0)]


class Probing(Record):
    """What the kept weights of runs are probed with: see `nervelab.nulls`.

    `draws` is how often each null is drawn, `seed` what they are drawn from.
    """

    draws: Annotated[int, Field(ge=1, le=100)]
    seed: Annotated[int, Field(ge=0)]
