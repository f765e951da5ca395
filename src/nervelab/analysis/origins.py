"""Where runs come from: their code, commit, data and machine, for `nervelab trace`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nervelab import layout, runfiles
from nervelab.adoption.evidence import adoptions
from nervelab.aggregates.verified import REMEDY
from nervelab.analysis.trace import Source, Trace
from nervelab.datafiles import MANIFEST
from nervelab.errors import damaged
from nervelab.files import read_json, sha256

_UNKNOWN = "unknown"


def as_text(trace: Trace, source: Source) -> str:
    """A trace for a terminal: the number, the runs behind it with what they come from, and the comparison."""
    listing = source.listing()
    count = len(trace.runs)
    lines = [f"{trace.of}: {trace.held or '(empty)'}", ""]
    lines.append(f"{count} run{'s' if count > 1 else ''} behind it:")
    origins: dict[tuple[str, ...], list[str]] = {}
    for name in trace.runs:
        folder = layout.run_folder(listing["scale"], name)
        recorded = read_json(folder / runfiles.RUN_JSON, REMEDY)
        origin = tuple(_origin(folder, recorded, listing))
        origins.setdefault(origin, []).append(f"  {name}  id {recorded['id']}, {recorded['outcome']}")
    for origin, runs in origins.items():
        lines += [*runs, *(f"    {line}" for line in origin)]
    lines += ["", f"analysed at commit {_analysed_at(source)}"]
    lines.append(f"verified: the files of {trace.verified} runs are those that run.json and {source.runs_json} name")
    if trace.note:
        lines.append(trace.note)
    return "\n".join([*lines, verdict(trace)]) + "\n"


def verdict(trace: Trace) -> str:
    """The last line: whether the runs give what the file holds."""
    if trace.recomputed is None:
        return "recomputed: there is no such row any more; `nervelab status` says what changed since it was rendered"
    if trace.equal:
        return f"recomputed: {trace.recomputed or '(empty)'} equals the file"
    return (
        f"recomputed: {trace.recomputed or '(empty)'} differs from the file, which holds {trace.held or '(nothing)'}; "
        "`nervelab status` says what changed since it was rendered"
    )


def _origin(folder: Path, recorded: dict[str, Any], listing: dict[str, Any]) -> Iterator[str]:
    environment = read_json(folder / runfiles.ENVIRONMENT, REMEDY)
    yield f"code {recorded.get('fingerprint', _UNKNOWN)}"
    steps = adoptions(folder)
    if steps:
        yield f"adopted from code {steps[0]['from']['fingerprint']}, which trained it: {folder / runfiles.ADOPTION}"
    yield f"at commit {environment.get('git_commit') or _UNKNOWN}"
    (kind, id), *_ = [*recorded.get("inputs", {}).items(), ("data", _UNKNOWN)]
    manifests = {
        each["id"]: each for pair in listing.get("data", {}).values() for each in pair.values() if "id" in each
    }
    yield _data(kind, id, manifests)
    corpus = manifests.get(id, {}).get("corpus")
    if corpus is not None:
        yield _data("corpus", corpus, manifests)
    cuda = f", CUDA {environment['cuda']}" if environment.get("cuda") else ""
    yield f"torch {environment.get('torch', _UNKNOWN)}{cuda}, {environment.get('device', _UNKNOWN)}"


def _data(kind: str, id: str, manifests: dict[str, Any]) -> str:
    """The data by id and the sha256 of their manifest, which is compared with what the results were made of."""
    if kind not in ("tokens", "corpus"):
        return f"data {id}"
    path = layout.data_folder({kind: id}) / MANIFEST
    if not path.is_file():
        return f"{kind} {id}, which are not on this disk"
    if id in manifests and read_json(path, REMEDY) != manifests[id]:
        raise damaged(path, "it is not the one that the results were made of", REMEDY)
    return f"{kind} {id}, manifest sha256 {sha256(path)}"


def _analysed_at(source: Source) -> str:
    path = source.results / "provenance.json"
    if not path.is_file():
        return _UNKNOWN
    git = read_json(path, REMEDY).get("git", {})
    return f"{git.get('commit') or _UNKNOWN}{', with changes since' if git.get('changed') else ''}"
