"""What a run leaves behind: rows gathered while it trains, files written when it ends."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors.torch import save

from nervelab import runfiles
from nervelab.files import remove_half_written, sha256, write_bytes, write_json, write_sealed
from nervelab.training import columns
from nervelab.training.execution import Execution

KEYS = {"step": pa.int64(), "layer": pa.int64(), "group": pa.string(), "estimator": pa.string()}
METRICS = ("se_pre", "se_post", "pr_pre", "pr_post", "eee_pre", "eee_post", "js", "pr_gain", "delta_eee")
FLOATS = pa.list_(pa.float64())
SCHEMAS: dict[str, dict[str, pa.DataType]] = {
    "spectra": {**KEYS, **dict.fromkeys(METRICS, pa.float64()), "n_tokens": pa.int64(), "width": pa.int64()},
    "eigenvalues": {**KEYS, "eigenvalues_pre": FLOATS, "eigenvalues_post": FLOATS},
    "history": {
        "step": pa.int64(),
        "train_loss": pa.float64(),
        "eval_loss": pa.float64(),
        "eval_accuracy": pa.float64(),
        "lr": pa.float64(),
        "gradient_norm": pa.float64(),
        # Targets so far (of images, the patches of the images).
        "tokens": pa.int64(),
        # Of each step since the row before: the share of the peak rate, and `nervelab.training.task.batch_digest`.
        "rates": FLOATS,
        "batches": pa.list_(pa.int64()),
    },
    "timing": {"step": pa.int64(), "train_seconds": pa.float64(), "measure_seconds": pa.float64()},
    # Of each estimator at one step, as if it had been alone; the forward is in the measure_seconds of timing only.
    "estimators": {
        "step": pa.int64(),
        "estimator": pa.string(),
        "moments_seconds": pa.float64(),
        "solve_seconds": pa.float64(),
    },
}


@dataclass
class Rows:
    """The rows of a run's tables so far."""

    tables: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: {name: [] for name in SCHEMAS})

    def add(self, table: str, **row: Any) -> None:
        """Append a row to one of the tables."""
        self.tables[table].append(row)

    def extend(self, table: str, rows: Iterable[dict[str, Any]]) -> None:
        """Append rows to one of the tables."""
        self.tables[table].extend(rows)

    def last_step(self) -> int | None:
        """The step of the last row of the history."""
        return self.tables["history"][-1]["step"] if self.tables["history"] else None

    def longest_measurement(self) -> float:
        """The seconds that the slowest measurement took so far, in whichever execution."""
        total = [0.0, *(row["measure_seconds"] for row in self.tables["timing"])]
        return max((after - before for before, after in pairwise(total)), default=0.0)

    def table(self, name: str) -> pa.Table:
        """One of the tables, of the types that `SCHEMAS` says; tensors become lists."""
        return columns.table(
            {column: [row[column] for row in self.tables[name]] for column in SCHEMAS[name]}, SCHEMAS[name]
        )


def write_run(
    out: Path,
    *,
    rows: Rows,
    weights: Mapping[str, torch.Tensor],
    summary: dict[str, Any],
    environment: dict[str, Any],
) -> None:
    """Write every file of a finished run, run.json last: a folder without it is not a run."""
    out.mkdir(parents=True, exist_ok=True)
    (out / runfiles.RUN_JSON).unlink(missing_ok=True)
    remove_half_written(out)
    for table in SCHEMAS:
        content = pa.BufferOutputStream()  # serialised first: pyarrow reports a full disk as an error of its own
        pq.write_table(rows.table(table), content, compression="zstd")
        write_bytes(out / f"{table}.parquet", content.getvalue())
    write_bytes(out / runfiles.WEIGHTS, save({name: each.contiguous().cpu() for name, each in weights.items()}))
    write_json(out / runfiles.ENVIRONMENT, environment)
    files = {name: sha256(out / name) for name in runfiles.RUN_RESULTS}
    sizes = {name: (out / name).stat().st_size for name in runfiles.RUN_RESULTS}
    write_sealed(out / runfiles.RUN_JSON, {**summary, "files": files, "bytes": sizes})


def unshared(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """A model's tensors by name, each shared tensor once, under its first name."""
    seen: set[int] = set()
    kept = {}
    for name, tensor in model.state_dict().items():
        if tensor.data_ptr() not in seen or tensor.numel() == 0:
            kept[name] = tensor
        seen.add(tensor.data_ptr())
    return kept


def environment(device: torch.device, execution: Execution) -> dict[str, Any]:
    """Versions, device and commit: what is recorded, and not hashed."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda if device.type == "cuda" else None,
        "pyarrow": pa.__version__,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else _processor(),
        "threads": execution.threads,
        "accumulation": execution.accumulation,
        "git_commit": _git_commit(),
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _git_commit() -> str | None:
    try:
        answer = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, encoding="utf-8", check=False)
    except FileNotFoundError:
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None
