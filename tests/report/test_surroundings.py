"""What is rendered depends on the runs alone: not on locale, threads, hash seed or a library's own configuration."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

RENDER = """
from dataclasses import replace
from pathlib import Path
from tests.support.made_up_runs import SETTINGS
from tests.support.synthetic_runs import LAPTOP, write_study
from nervelab.aggregates.collect import aggregate
from nervelab.analysis.analyse import analyse
from nervelab.report.report import render

root, settings = Path("made"), SETTINGS
runs = (replace(LAPTOP[0], outcome="stuck"), LAPTOP[2], replace(LAPTOP[4], outcome="diverged"))
runs_json, folders = write_study(root, runs, scale="smoke")
aggregate(runs_json, folders, root / "aggregates")
analyse(root / "aggregates", root / "results", settings)
render(
    results_dir=root / "results", aggregates_dir=root / "aggregates", runs_json=runs_json, settings=settings
)
"""
MATPLOTLIBRC = """
axes.facecolor: yellow
axes.unicode_minus: False
figure.dpi: 37
font.weight: bold
lines.marker: o
savefig.bbox: tight
savefig.facecolor: red
svg.image_inline: False
xtick.direction: in
"""


def test_a_hostile_environment_changes_no_byte(partial: Path, tmp_path: Path):
    (tmp_path / "matplotlibrc").write_text(MATPLOTLIBRC)
    hostile = {
        "LC_ALL": "C",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
        "PYTHONHASHSEED": "4711",
        "TZ": "Asia/Kathmandu",
        "POLARS_MAX_THREADS": "1",
        "POLARS_FMT_MAX_ROWS": "1",
        "POLARS_FMT_FLOAT": "full",
        "OMP_NUM_THREADS": "3",
        "OPENBLAS_NUM_THREADS": "3",
        "MPLCONFIGDIR": str(tmp_path),
        "COLUMNS": "20",
    }
    subprocess.run(
        [sys.executable, "-c", RENDER],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(each for each in sys.path if each), **hostile},
        check=True,
    )

    def contents(folder: Path) -> dict[str, bytes]:
        """Each file by its path, but those of seconds."""
        files = (path for path in sorted(folder.rglob("*")) if path.is_file() and "timings" not in path.parts)
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}

    usual, made = contents(partial), contents(tmp_path / "made" / "results")
    assert len(usual) > 20
    assert [name for name in usual | made if usual.get(name) != made.get(name)] == []
