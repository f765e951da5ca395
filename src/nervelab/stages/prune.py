"""What lies on disk that params.yaml no longer asks for, at any scale."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from nervelab import layout
from nervelab.stages.chain import FOLDERS
from nervelab.study.params import Params, Study, read_params
from nervelab.study.runs import load_project


def unwanted() -> list[Path]:
    """Runs, probes, checkpoints, plans, code snapshots and data that no scale of params.yaml asks for, sorted.

    The runs and probes of a scale at which a study lacks its base are let be: nothing can be said of them.

    Raises:
        NervelabError: params.yaml is not valid, so nothing can be said.
    """
    params = read_params(layout.PARAMS)
    projects = [load_project(scale=scale, only=only, params=params) for scale, only in _asked_for(params)]
    resolved = {project.scale for project in projects}
    runs = [run for project in projects for run in project.runs]
    names = {run.name for run in runs}
    wanted = {
        *(folder for stage in FOLDERS for project in projects for folder in stage.wanted(project)),
        *(layout.CHECKPOINTS / name for name in names),
        *(layout.plan_path(name) for name in names),
        *(layout.code_folder(run.fingerprint) for run in runs),
    }
    present = (
        *(path for scale in resolved for path in layout.RUNS.glob(f"{scale}/*")),
        *(path for scale in resolved for path in layout.PROBES.glob(f"{scale}/*")),
        *layout.CHECKPOINTS.glob("*"),
        *layout.PLANS.glob("*.json"),
        *(layout.PLANS / "code").glob("*"),
        *layout.TOGETHER.glob("*/*"),
        *layout.CORPORA.glob("*"),
        *layout.TOKENS.glob("*"),
    )
    return sorted(path for path in present if path not in wanted)


def size(paths: Sequence[Path]) -> int:
    """The bytes below some files and folders; a link counts as itself, and what vanishes meanwhile as nothing."""
    inside = (each for path in paths for each in (() if path.is_symlink() else path.rglob("*")))
    return sum(map(_bytes, (*paths, *inside)))


def remove(path: Path) -> dict[Path, str]:
    """Remove a file or a folder, of a link the link alone. What could not be removed, and why; the rest is gone."""
    stayed: dict[Path, str] = {}
    if path.is_dir() and not path.is_symlink():
        for folder, folders, files in os.walk(path, topdown=False, onerror=lambda error: _note(error, stayed)):
            for name in (*files, *folders):
                _try(Path(folder) / name, stayed)
    _try(path, stayed)
    return stayed


def _try(path: Path, stayed: dict[Path, str]) -> None:
    try:
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    except OSError as error:
        _note(error, stayed)


def _note(error: OSError, stayed: dict[Path, str]) -> None:
    """A folder stays because of what is in it, which has its own line; what is not there any more did not stay."""
    if error.errno not in (errno.ENOTEMPTY, errno.ENOENT):
        stayed[Path(error.filename)] = os.strerror(error.errno)


def _bytes(path: Path) -> int:
    try:
        found = path.lstat()
    except OSError:  # it vanished, or may not be looked at
        return 0
    return 0 if stat.S_ISDIR(found.st_mode) else found.st_size


def _asked_for(params: Params) -> Iterator[tuple[str, str | None]]:
    """The scales at which every study can be resolved, and the studies on request at theirs."""
    for scale in params.scales:
        lacking = [name for name, study in params.studies.items() if not _has_its_bases(params, study, scale)]
        if all(params.studies[name].on_request for name in lacking):
            yield scale, None
            yield from (
                (scale, name) for name, study in params.studies.items() if study.on_request and name not in lacking
            )


def _has_its_bases(params: Params, study: Study, scale: str) -> bool:
    """Whether its base and those on its axes are there at a scale; of unknown ones `load_project` tells."""
    bases = [study.base, *(base for block in study.axes for base in block.get("base", ()))]
    return all(scale in params.bases[base] for base in bases if isinstance(base, str) and base in params.bases)
