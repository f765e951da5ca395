"""What a run pays before it trains: nothing is imported that it can do without."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from nervelab.study.config import RunConfig
from tests.support.configs import varied, write_plan
from tests.support.optimisers import RECORDS

# Each takes a fifth of a second to two. torch._dynamo, which imports sympy, is what torch.compile needs.
NEEDLESS = {"polars", "scipy", "pandas", "torch._dynamo", "sympy", "torchvision", "PIL", "nervelab.study"}
TRAIN = """
import sys
from nervelab.training.__main__ import main
status = main()
print(*sys.modules)
sys.exit(status)
"""


def test_runs_of_text_import_nothing_needless(smoke_config: RunConfig, tokens: Path, tmp_path: Path) -> None:
    """Whatever the optimiser, with a checkpoint saved at each step, to the files that they leave."""
    short = varied(
        smoke_config,
        training={"steps": 2, "eval_tokens": 64},
        measure={"tokens": 64, "points": 1, "early": [0], "chunk": 2},
        model={"layers": 1, "d_model": 16, "context": 32},
    )
    configs = [short.model_copy(update={"optimiser": record}) for record in RECORDS.values()]
    roots = [tmp_path / name for name in RECORDS]
    arguments = {
        "plan": [write_plan(root / "plan.json", config) for root, config in zip(roots, configs, strict=True)],
        "data": [tokens] * len(roots),
        "out": [root / "run" for root in roots],
        "checkpoints": [root / "checkpoint" for root in roots],
        "checkpoint-seconds": [0],
    }
    words = [str(word) for key, values in arguments.items() for word in (f"--{key}", *values)]
    answer = subprocess.run([sys.executable, "-c", TRAIN, *words], check=True, capture_output=True, text=True)
    assert all((root / "run" / "run.json").is_file() for root in roots)
    imported = set(answer.stdout.split())
    assert {"torch", "pyarrow.parquet", "nervelab.optim.dion"} <= imported
    assert not imported & NEEDLESS
