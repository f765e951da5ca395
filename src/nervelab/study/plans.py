"""Plans: a run frozen as a file, with a snapshot of the code that will train it.

A training reads its plan and nothing else, so that editing params.yaml or the code while jobs are queued cannot land
a run under an identity that is not its own. What somebody else froze is refused: its code would run here.
"""

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nervelab import layout
from nervelab.errors import NervelabError, missing
from nervelab.files import read_json, write_json
from nervelab.study.components import TRAINER, components
from nervelab.study.fingerprint import PACKAGE, closure, fingerprint, package_data
from nervelab.study.runs import Run, run_id


@dataclass(frozen=True)
class Plan:
    """A plan as it was read and checked: `content` is what the trainer reads from `path`."""

    path: Path
    content: dict[str, Any]

    @property
    def data(self) -> Path:
        """The folder of the data that the run trains on."""
        return layout.data_folder(self.content["inputs"])

    @property
    def code(self) -> Path:
        """The folder of the code snapshot, to be put in front of the import path."""
        return layout.code_folder(self.content["fingerprint"])


def content_of(run: Run) -> dict[str, Any]:
    """What a plan says of a run: all that a trainer reads."""
    return {
        "name": run.name,
        "id": run.id,
        "slug": run.slug,
        "config": run.config.model_dump(mode="json"),
        "inputs": run.inputs,
        "components": components(run.config),
        "fingerprint": run.fingerprint,
    }


def write_plan(run: Run) -> None:
    """Write the plan of a run, and the snapshot of its code unless it is there already."""
    content = content_of(run)
    _write_snapshot([TRAINER, *content["components"].values()], run.fingerprint)
    _remember(run.fingerprint)
    write_json(layout.plan_path(run.name), content)


def read_plan(path: Path) -> Plan:
    """The plan at `path`, checked against its own id, with its snapshot checked against its fingerprint.

    Raises:
        NervelabError: the plan or the snapshot is missing or is not what was written.
    """
    if not path.exists():
        raise missing(path, "start the build again, which writes it before it trains.")
    remedy = "delete it and run make again."
    content = read_json(path, remedy)
    try:
        expected = run_id(content["config"], content["inputs"], content["fingerprint"])
        intact = content["id"] == expected and content["name"] == path.stem == f"{content['slug']}-{expected}"
        entries = [TRAINER, *content["components"].values()]
    except (KeyError, TypeError, AttributeError) as error:
        raise NervelabError(f"{path} is no plan (it lacks {error}): {remedy}") from error
    strange = [module for module in entries if not str(module).startswith(f"{PACKAGE}.")]
    if strange:
        raise NervelabError(f"{path} names {strange[0]!r}, which is no module of {PACKAGE}: {remedy}")
    if not intact:
        raise NervelabError(f"{path} was changed after it was written (its id no longer fits its content): {remedy}")
    plan = Plan(path, content)
    if not _holds(plan.code, entries, content["fingerprint"]):
        raise NervelabError(
            f"{plan.code} is not the code of {path} (missing or changed): delete both and run make again."
        )
    if not _is_ours(entries, content["fingerprint"]):
        raise NervelabError(f"{plan.code} was not frozen in this folder: delete it and {path}, and run make again.")
    return plan


def _remember(code: str) -> None:
    """Put on record that this code was frozen here."""
    if code not in _frozen_here():
        with layout.FROZEN.open("a", encoding="ascii") as file:
            file.write(f"{code}\n")


def _frozen_here() -> list[str]:
    return layout.FROZEN.read_text(encoding="ascii").split() if layout.FROZEN.is_file() else []


def _is_ours(entries: list[str], code: str) -> bool:
    """Whether a snapshot is of code that was frozen here, or is the code of this folder."""
    if code in _frozen_here():
        return True
    try:
        return fingerprint(entries) == code
    except NervelabError:  # the folder's code has no such entry
        return False


def _write_snapshot(entries: list[str], code: str) -> None:
    folder = layout.code_folder(code)
    if _holds(folder, entries, code):
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".snapshot-") as name:
        partial = Path(name) / "code"
        for module, path in closure(entries).items():
            parts = module.split(".")
            inside = Path(*parts, "__init__.py") if path.name == "__init__.py" else Path(*parts).with_suffix(".py")
            (partial / inside).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, partial / inside)
            for data in package_data(path.parent) if path.name == "__init__.py" else ():
                copy = (partial / inside).parent / data.relative_to(path.parent)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(data, copy)
        if fingerprint(entries, partial / PACKAGE) != code:
            raise NervelabError("the code was edited while it was being copied: run the same command again.")
        if folder.exists():
            shutil.rmtree(folder)
        partial.rename(folder)


def _holds(folder: Path, entries: list[str], code: str) -> bool:
    if not (folder / PACKAGE / "__init__.py").exists():
        return False
    try:
        return fingerprint(entries, folder / PACKAGE) == code
    except NervelabError:  # an entry is missing from the snapshot, or is no Python any more
        return False
