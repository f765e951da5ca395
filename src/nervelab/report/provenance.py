"""results/provenance.json: by what and on what the results were made. Nothing depends on it."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
from pathlib import Path
from typing import Any

from nervelab import layout, runfiles
from nervelab.adoption.evidence import summary
from nervelab.analysis.environments import compared, mixture, mixtures
from nervelab.errors import damaged
from nervelab.files import read_json, sha256, write_json
from nervelab.study.index import listed
from nervelab.study.params import params_files
from nervelab.study.runs import Project

PACKAGES = ("torch", "numpy", "scipy", "polars", "arch", "matplotlib", "seaborn", "tokenizers", "snakemake", "dvc")
REMEDY = "delete it and run make again."


def write_provenance(path: Path, *, params: Path, folders: dict[str, Path]) -> None:
    """Write versions, hardware, the commit, the hashes of params.yaml and config/, and where each run was trained.

    Args:
        path: the file to write.
        params: the params.yaml that was resolved, with what lies beside it.
        folders: the folder of each run, by its name.

    Raises:
        NervelabError: a run's environment.json is missing or damaged.
    """
    runs = {name: _trained_in(folder) for name, folder in folders.items()}
    environments = [run["environment"] for run in runs.values()]
    content = {
        "versions": {
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in PACKAGES},
        },
        "hardware": {
            "platform": platform.platform(),
            "trained on": sorted({str(environment["device"]) for environment in environments}),
        },
        "git": _git(),
        "params_sha256": {file.relative_to(params.parent).as_posix(): sha256(file) for file in params_files(params)},
        "adoption": summary(folders.values()),
        "runs": runs,
        "torch_versions_of_the_runs": sorted({str(environment["torch"]) for environment in environments}),
    }
    write_json(path, content)


def mixed_findings(project: Project) -> dict[str, str]:
    """In what the runs that one finding compares were trained differently, by the finding's id.

    Only where some runs of the project were trained differently are the findings decided for it, in memory.

    Raises:
        NervelabError: a run is missing or damaged.
    """
    environments = {run.name: _environment(run.folder) for run in project.runs}
    if not mixture(environments.values()):
        return {}
    listing = {"scale": project.scale, "runs": listed(project)}
    return mixtures(compared(listing, layout.RUNS, project.params.analysis), environments)


def _trained_in(folder: Path) -> dict[str, Any]:
    recorded = read_json(folder / runfiles.RUN_JSON, REMEDY)
    return {"id": recorded["id"], "fingerprint": recorded["fingerprint"], "environment": _environment(folder)}


def _environment(folder: Path) -> dict[str, Any]:
    path = folder / runfiles.ENVIRONMENT
    environment = read_json(path, REMEDY)
    if not isinstance(environment, dict) or not {"device", "torch"} <= environment.keys():
        raise damaged(path, "it lacks an entry", REMEDY)
    return environment


def _git() -> dict[str, Any]:
    """The commit, and whether anything but what is rendered has changed since."""
    try:
        commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, encoding="utf-8", check=True)
        status = ["git", "status", "--porcelain", "--untracked-files=no", "--", ".", f":!{layout.RESULTS}"]
        changed = subprocess.run(status, capture_output=True, encoding="utf-8", check=True)
    except (FileNotFoundError, subprocess.CalledProcessError):
        return {"commit": None, "changed": None}
    return {"commit": commit.stdout.strip(), "changed": bool(changed.stdout.strip())}
