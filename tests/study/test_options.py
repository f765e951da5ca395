"""What `--config` may say, and one sentence for everything else."""

from __future__ import annotations

from typing import Any

import pytest

from nervelab.errors import NervelabError
from nervelab.study.options import Options, read_options
from nervelab.training.execution import Execution


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"devcie": "cuda"}, "--config knows no devcie: use one of scale, only, device, accumulation, "),
        ({"Device": "cuda", "gpu": 1}, "--config knows no Device, gpu: use one of "),
        ({"checkpoint-seconds": 5}, "--config knows no checkpoint-seconds: use one of "),
        ({"device": "gpu0"}, "device: 'gpu0' is no device that this trains on; use cpu, cuda, or one GPU like cuda:0"),
        ({"device": "cuda:"}, "device: 'cuda:' is no device"),
        ({"device": "cuda:0\n"}, "is no device"),
        ({"device": 0}, "device: "),
        ({"accumulation": 0}, "accumulation: "),
        ({"accumulation": 1.5}, "accumulation: "),
        ({"accumulation": True}, "accumulation: "),
        ({"accumulation": "two"}, "accumulation: "),
        ({"checkpoint_seconds": -1}, "checkpoint_seconds: "),
        ({"checkpoint_seconds": float("nan")}, "checkpoint_seconds: "),
        ({"checkpoint_seconds": "5s"}, "checkpoint_seconds: "),
        ({"scale": "laptopp"}, "scale: input should be 'smoke', 'laptop' or 'paper', but is 'laptopp'"),
        ({"scale": ""}, "scale: "),
        ({"only": 3}, "only: "),
    ],
)
def test_what_may_not_be_said_is_refused_in_one_sentence(config: dict[str, Any], said: str):
    with pytest.raises(NervelabError) as refused:
        read_options(config)
    assert said in str(refused.value)
    assert str(refused.value).startswith("--config")
    assert "\n" not in str(refused.value).replace("\\n", "")


def test_what_may_be_said_is_taken():
    options = read_options({"device": "cuda:1", "accumulation": 8, "checkpoint_seconds": 60, "scale": "paper"})
    assert (options.device, options.accumulation) == ("cuda:1", 8)
    assert (options.checkpoint_seconds, options.scale, options.only) == (60.0, "paper", None)


def test_the_trainer_and_the_workflow_have_the_same_default():
    assert Options().checkpoint_seconds == Execution.checkpoint_seconds
