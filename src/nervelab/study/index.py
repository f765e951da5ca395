"""results/runs.json: which runs this study consists of, what they were trained on, and what their run.json holds."""

from pathlib import Path
from typing import Any

from nervelab import layout, runfiles
from nervelab.data.folders import MANIFEST
from nervelab.files import read_json, sha256, write_json
from nervelab.study.runs import Project, Run


def write_index(project: Project, path: Path) -> None:
    """Write the index of a project's runs; later stages depend on it.

    Raises:
        NervelabError: a run or a manifest is missing or damaged.
    """
    runs = [described(run) | {"run_json_sha256": sha256(run.folder / runfiles.RUN_JSON)} for run in project.runs]
    data = {tokens.corpus.name: _manifests(id, tokens.corpus.id) for id, tokens in project.tokens.items()}
    write_json(path, {"scale": project.scale, "runs": runs, "data": data})


def described(run: Run) -> dict[str, Any]:
    """What the index says of a run before it is trained."""
    return {
        "name": run.name,
        "id": run.id,
        "slug": run.slug,
        "studies": list(run.studies),
        "settings": run.settings,
        "off_base": list(run.off_base),
        "tokens": run.tokens.id,
    }


def _manifests(tokens_id: str, corpus_id: str) -> dict[str, Any]:
    remedy = "delete its folder and run make again."
    corpus = read_json(layout.CORPORA / corpus_id / MANIFEST, remedy)
    tokens = read_json(layout.TOKENS / tokens_id / MANIFEST, remedy)
    return {"corpus": corpus, "tokens": tokens}
