"""How a run is executed. Nothing here is part of a run's identity."""

import os
from dataclasses import dataclass
from pathlib import Path

import torch

from nervelab.errors import NervelabError


@dataclass(frozen=True)
class Execution:
    """Paths and machinery of one execution.

    A batch is trained on in `accumulation` parts, whose gradients are summed: less memory, the same numbers but for
    rounding, with dropout other masks, and under a spectral norm a power iteration for each part; environment.json
    records it. On the CPU one thread is bitwise reproducible; more are not. A checkpoint is due after
    `checkpoint_seconds`, or later where saving takes longer than a fiftieth of the time since the last one. Before the
    `deadline` of its job, in Unix time, it saves and stops.
    """

    plan: Path
    data: Path
    out: Path
    checkpoints: Path
    device: str = "cpu"
    threads: int = 1
    accumulation: int = 1
    checkpoint_seconds: float = 5.0
    deadline: float | None = None

    def prepare(self) -> torch.device:
        """Set torch up for deterministic work and return the device.

        Raises:
            NervelabError: the device is not there.
        """
        torch.set_num_threads(self.threads)
        # What cuBLAS needs to be deterministic; it has to be there before the first call, and be the same everywhere.
        os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
        try:
            device = torch.device(self.device)
        except RuntimeError as error:
            raise NervelabError(f"--device {self.device} is no device torch knows: use cpu or cuda.") from error
        if device.type == "cuda" and not torch.cuda.is_available():
            raise NervelabError(f"--device {self.device} was asked for, but torch finds no GPU: use --device cpu.")
        if device.type == "cuda":  # the CPU is deterministic on one thread as it is, and this imports for a second
            torch.use_deterministic_algorithms(True)
        return device
