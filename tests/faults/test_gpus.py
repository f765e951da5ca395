"""A machine without a GPU, or without as many as are asked for, is told so before anything waits for one."""

from __future__ import annotations

import pytest

from nervelab.build.devices import lease_devices
from nervelab.errors import NervelabError
from tests.faults.registry import Fault, name

VISIBLE = "CUDA_VISIBLE_DEVICES"
ENVIRONMENT, ASKED = "The environment", "What is asked for"
NOTHING = "Everything; no training has begun."


def leasing(count: int, number: int | None = None, visible: str | None = None):
    """What is said where so many are leased of those that are visible."""

    def act(monkeypatch: pytest.MonkeyPatch) -> str:
        for job in ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "JOB_ID", VISIBLE):
            monkeypatch.delenv(job, raising=False)
        monkeypatch.setenv("PATH", "")  # and with it nvidia-smi
        if visible is not None:
            monkeypatch.setenv(VISIBLE, visible)
        with pytest.raises(NervelabError) as refused:
            lease_devices(count, number)
        return str(refused.value)

    return act


FEWER = (
    "the GPUs here are 0, 1, and … is asked for: name one that is there (device=cuda takes any), or show more of them "
    f"in {VISIBLE}."
)
FAULTS = [
    Fault(
        "no GPU",
        ENVIRONMENT,
        "a training on a GPU, where there is none",
        f"no GPU is found here (`nvidia-smi -L` lists none): name those that may be used in {VISIBLE}, like 0,1, or "
        "train on the CPU (device=cpu).",
        NOTHING,
        leasing(1),
    ),
    Fault(
        "every GPU hidden",
        ENVIRONMENT,
        f"{VISIBLE} hides every GPU",
        f"{VISIBLE}=… hides every GPU: name there those that may be used, like 0,1, or train on the CPU (device=cpu).",
        NOTHING,
        leasing(1, visible="-1"),
    ),
    Fault("too many GPUs", ASKED, "a training takes more GPUs than there are", FEWER, NOTHING, leasing(3, None, "0,1")),
    Fault("another GPU", ASKED, "a GPU by a number that there is not", FEWER, NOTHING, leasing(1, 2, "0,1")),
]


@pytest.mark.parametrize("fault", FAULTS, ids=name)
def test_a_gpu_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch, fault: Fault):
    said = fault.act(monkeypatch)
    assert fault.is_said_by(said), said
