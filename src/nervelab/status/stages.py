"""How the data and the rendered files stand, and why what is stale is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nervelab import layout
from nervelab.datafiles import MANIFEST
from nervelab.errors import NervelabError
from nervelab.files import digest, read_json
from nervelab.stages.chain import CORPUS, PROBE, RENDERINGS, TOKENS
from nervelab.stages.stamps import Stamp, differences
from nervelab.stages.targets import Targets
from nervelab.status.runs import Standing
from nervelab.study.runs import Corpus, Project, Tokens
from nervelab.told import failure

LISTED = 3  # names that a sentence lists, of more it says how many more


@dataclass(frozen=True)
class Made:
    """How one corpus, one tokenised corpus or one rendering stage stands.

    Attributes:
        what: "corpus", "tokens", "probe", or the rendering stage.
        name: the data set, or where the stage writes.
        id: of the data; of all probes together; the key of the stage's stamp.
        state: fresh, stale (there is an older one), incomplete or absent.
        why: why it is not fresh, a sentence each.
        failed: the sentence that its last job ended with; None where it did not fail.
    """

    what: str
    name: str
    id: str
    state: str
    why: tuple[str, ...] = ()
    failed: str | None = None


def data(project: Project) -> list[Made]:
    """How each corpus and each tokenised corpus stands that the runs need."""
    corpora, tokens = (list(_manifests(folder)) for folder in (layout.CORPORA, layout.TOKENS))
    return [
        *(_data(each, CORPUS.files, corpora) for each in project.corpora.values()),
        *(_data(each, TOKENS.files, tokens) for each in project.tokens.values()),
    ]


def probing(targets: Targets) -> list[Made]:
    """How the probes stand, all of them together; nothing where none is wanted."""
    wanted = list(PROBE.wanted(targets.project))
    lacking = [folder.name for folder in wanted if not PROBE.is_there(folder)]
    if not wanted:
        return []
    known = {
        "what": "probe",
        "name": str(layout.PROBES / targets.project.scale),
        "id": digest([folder.name for folder in wanted])[:10],
    }
    if not lacking:
        return [Made(**known, state="fresh")]
    why = targets.not_probed or f"{len(lacking)} of {len(wanted)} are missing: {listed(lacking)}"
    state = "absent" if len(lacking) == len(wanted) else "incomplete"
    return [Made(**known, state=state, why=(why,), failed=failure(Path("logs/probe.log")))]


def stages(targets: Targets, runs: list[Standing]) -> list[Made]:
    """How each rendering stage stands: fresh as the DAG sees it, and why it is not."""
    found: list[Made] = []
    missing = [each.run.name for each in runs if not each.done]
    for stage in RENDERINGS:
        stamp = targets.stages[stage.name]
        before = found[-1] if found else None
        follows = before is not None and before.state != "fresh"
        waits = stage.needs is not None and not stage.needs.is_made(targets.project)
        known = {"what": stage.name, "name": str(stage.writes_in(targets))}
        if not missing and not follows and not waits and stamp.valid():
            found.append(Made(**known, id=stamp.key, state="fresh"))
            continue
        why = list(_why(stamp, among=("written",) if follows else ("read", "written")))
        if follows:
            why.append(f"{before.what} comes before it")
        elif waits:
            why.insert(0, "probes are missing")
        elif missing:
            why.insert(0, f"runs are missing: {listed(missing)}")
        state = "stale" if stamp.lying() else "absent"
        failed = failure(Path("logs") / f"{stage.name}.log")
        found.append(Made(**known, id=stamp.key, state=state, why=tuple(why), failed=failed))
    return found


def listed(names: list[str]) -> str:
    """The first of some names and how many more there are."""
    more = len(names) - LISTED
    return ", ".join(names[:LISTED]) + (f" and {more} more" if more > 0 else "")


def _why(stamp: Stamp, among: tuple[str, ...]) -> Iterator[str]:
    """What determines a stage's files otherwise now than its stamp says, then the files that are not as it says."""
    lying = stamp.lying()
    if not lying:
        yield "it was never made here"
        return
    own = [path for path in lying if path.name.startswith(f"{stamp.stage}-{stamp.key}.")]
    latest = (own or lying)[-1]
    if not own:
        yield from _determined_otherwise(stamp, latest)
    changed: dict[str, list[str]] = {}
    for path, how in differences(latest, among):
        changed.setdefault(how, []).append(path.as_posix())
    for how, paths in changed.items():
        yield f"{listed(paths)} {how if len(paths) == 1 else how.replace('was', 'were')}"


def _determined_otherwise(stamp: Stamp, latest: Path) -> Iterator[str]:
    try:
        content = read_json(latest, "")
        was = content["made_of"]
        read = {Path(name).parent.name for name in content["read"]}
    except (NervelabError, KeyError, TypeError):
        yield "what it was made of is not known"
        return
    for name, now in stamp.made_of.items():
        if was.get(name) == now:
            continue
        if name == "code":
            yield f"the code of {stamp.stage} changed"
        elif name == "analysis":
            yield f"the settings of analysis changed: {_settings(was.get(name), now)}"
        elif name == "scale":
            yield f"the scale changed from {was.get(name)} to {now}"
        elif name == "data":
            yield "the runs are trained on other data"
        elif name in ("probed", "probes"):
            yield "other probes belong to the runs" if name == "probed" else _probes(was.get(name), now)
        elif name == "runs":
            yield _runs(read, {each["name"] for each in stamp.determinants["runs"]})


def _runs(were: set[str], are: set[str]) -> str:
    added, gone = sorted(are - were), sorted(were - are)
    said = [f"{len(added)} runs are asked for anew ({listed(added)})"] if added else []
    said += [f"{len(gone)} are no longer asked for ({listed(gone)})"] if gone else []
    return ", ".join(said) or "the studies or the shown settings of the runs changed"


def _probes(was: Any, now: Any) -> str:
    if not isinstance(was, list) or not isinstance(now, list):  # of long lists a stamp holds the hash
        return "there are other probes"
    return f"there are {len(now)} probes, and were {len(was)}"


def _settings(was: Any, now: dict[str, Any]) -> str:
    was = was if isinstance(was, dict) else {}
    return ", ".join(f"{key} {was.get(key)} -> {value}" for key, value in now.items() if was.get(key) != value)


def _data(wanted: Corpus | Tokens, files: tuple[str, ...], present: list[dict[str, Any]]) -> Made:
    """How wanted data stand; `present` are the manifests of data of its kind on disk."""
    lacking = [file for file in files if not (wanted.folder / file).exists()]
    known = {"what": wanted.kind, "name": wanted.corpus.name, "id": wanted.id}
    if not lacking:
        return Made(**known, state="fresh")
    failed = failure(Path("logs") / wanted.kind / f"{wanted.id}.log")
    if len(lacking) < len(files):
        return Made(**known, state="incomplete", why=(f"lacks {', '.join(lacking)}",), failed=failed)
    key, record = ("dataset", wanted.dataset) if wanted.kind == "corpus" else ("tokenizer", wanted.tokenizer)
    alike = [each for each in present if each.get(key) == record.model_dump(mode="json")]
    if not alike:
        return Made(**known, state="absent", why=("it was never made here",), failed=failed)
    same_corpus = wanted.kind == "corpus" or any(each.get("corpus") == wanted.corpus.id for each in alike)
    why = "the code that makes it, or a local file, changed" if same_corpus else "its corpus changed"
    return Made(**known, state="stale", why=(why,), failed=failed)


def _manifests(folder: Path) -> Iterator[dict[str, Any]]:
    for path in sorted(folder.glob(f"*/{MANIFEST}")):
        try:
            content = read_json(path, "")
        except NervelabError:
            continue
        if isinstance(content, dict):
            yield content
