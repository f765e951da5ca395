"""results/runs.json: which runs this study consists of, what they were trained on, and what their run.json holds."""

from pathlib import Path
from typing import Any

from nervelab import runfiles
from nervelab.datafiles import MANIFEST
from nervelab.files import read_json, sha256, write_json
from nervelab.study.probing import probes
from nervelab.study.runs import Corpus, Project, Run, Tokens


def write_index(project: Project, path: Path) -> None:
    """Write the index of a project's runs; later stages depend on it.

    Raises:
        NervelabError: a run or a manifest is missing or damaged.
    """
    hashes = (sha256(run.folder / runfiles.RUN_JSON) for run in project.runs)
    runs = [each | {"run_json_sha256": hash} for each, hash in zip(listed(project), hashes, strict=True)]
    data = {each.corpus.name: _manifests(each) for each in project.data.values()}
    write_json(path, {"scale": project.scale, "runs": runs, "data": data})


def listed(project: Project) -> list[dict[str, Any]]:
    """What the index says of each run before it is trained: as `described`, with the id of its probe or null."""
    ids = {probe.run.name: probe.id for probe in probes(project)}
    return [described(run) | {"probe": ids.get(run.name)} for run in project.runs]


def described(run: Run) -> dict[str, Any]:
    """What the index says of a run before it is trained."""
    return {
        "name": run.name,
        "id": run.id,
        "slug": run.slug,
        "studies": list(run.studies),
        "settings": run.settings,
        "off_base": list(run.off_base),
        "recipes": list(run.recipes),
        "data": run.data.id,
    }


def _manifests(data: Tokens | Corpus) -> dict[str, Any]:
    remedy = "delete its folder and run make again."
    folders = {each.kind: each.folder for each in (data.corpus, data)}
    return {kind: read_json(folder / MANIFEST, remedy) for kind, folder in folders.items()}
