"""The files a build has to make, as the Snakefile asks for them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from nervelab import layout, probefiles, runfiles
from nervelab.datafiles import MANIFEST
from nervelab.errors import NervelabError, damaged
from nervelab.files import read_json
from nervelab.stages.chain import CORPUS, PROBE, RENDERINGS, TOKENS, TRAIN
from nervelab.stages.stamps import Stamp
from nervelab.study.fingerprint import fingerprint
from nervelab.study.probing import Probe, probes
from nervelab.study.runs import Project, Run, load_project

REMEDY = "delete it and run make again."


@dataclass(frozen=True)
class Targets:
    """What `project` asks for.

    `named` says that its scale was named on the command line; `only` is the study that alone is asked for.
    """

    project: Project
    named: bool
    only: str | None

    @classmethod
    def of(cls, scale: str | None = None, only: str | None = None, params: Path = layout.PARAMS) -> Targets:
        """The targets at `scale`, or at the scale of params.yaml, of all studies or of the one named `only`.

        Raises:
            NervelabError: bad input, or a run on disk that was cut short.
        """
        targets = cls(load_project(params, scale, only), named=scale is not None, only=only)
        targets.refuse_truncated()
        return targets

    @property
    def options(self) -> str:
        """The options that repeat what was named on the command line: the scale, the study."""
        named = {"scale": self.project.scale if self.named else None, "only": self.only}
        return " ".join(f"--{option} {value}" for option, value in named.items() if value)

    @property
    def results(self) -> Path:
        """Where this build renders."""
        return layout.results_folder(self.project.scale, named=self.named, only=self.only)

    @property
    def aggregates(self) -> Path:
        """Where the runs' rows are gathered."""
        return layout.aggregates_folder(self.project.scale, only=self.only)

    @property
    def runs_json(self) -> Path:
        """Where this build says which runs it consists of."""
        return self.results / "runs.json"

    @property
    def run_names(self) -> list[str]:
        """The names of the wanted runs, in the order of params.yaml."""
        return [run.name for run in self.project.runs]

    @property
    def plan_files(self) -> list[str]:
        """The plan of every wanted run that is still to be trained."""
        return [str(layout.plan_path(run.name)) for run in self.to_train]

    @property
    def to_train(self) -> list[Run]:
        """The wanted runs of which a file is missing."""
        return [run for run in self.project.runs if not TRAIN.is_there(run.folder)]

    @property
    def run_jsons(self) -> list[Path]:
        """The run.json of every wanted run."""
        return [run.folder / runfiles.RUN_JSON for run in self.project.runs]

    @property
    def run_files(self) -> list[str]:
        """Every file of every wanted run: a run of which one is deleted is trained again."""
        return TRAIN.paths(self.project)

    @property
    def probe_files(self) -> list[str]:
        """Every file of every probe that a build here ends with."""
        return PROBE.paths(self.project)

    @property
    def to_probe(self) -> list[Probe]:
        """The wanted probes of which a file is missing, whether or not they can be made here."""
        return [probe for probe in probes(self.project) if not PROBE.is_there(probe.folder)]

    @property
    def needed_to_probe(self) -> list[str]:
        """What has to be there before the missing probes are made, beside their runs: the manifests of the data."""
        return sorted({str(probe.run.data.folder / MANIFEST) for probe in self.to_probe})

    @property
    def not_probed(self) -> str | None:
        """A sentence on the probes that are missing and cannot be made here; None if there are none."""
        count = 0 if PROBE.made_here() else len(self.to_probe)
        if not count:
            return None
        return (
            f"{count} of the runs are not probed, as torch is not installed here: `nervelab probe` does it where it is"
        )

    @property
    def runs_by_study(self) -> dict[str, list[Run]]:
        """Every wanted run of each study that is asked for."""
        asked = {study for run in self.project.runs for study in run.studies if self.only in (None, study)}
        studies = [study for study in self.project.params.studies if study in asked]
        return {study: [run for run in self.project.runs if study in run.studies] for study in studies}

    @property
    def corpus_files(self) -> list[str]:
        """Every file of every wanted corpus."""
        return CORPUS.paths(self.project)

    @property
    def tokens_files(self) -> list[str]:
        """Every file of every wanted tokenised corpus."""
        return TOKENS.paths(self.project)

    @property
    def data_files(self) -> list[str]:
        """Every file of the data."""
        return self.corpus_files + self.tokens_files

    # A job asks for its inputs only where its output is missing: presence is freshness, and Snakemake would otherwise
    # make again whatever depends on a file that another job makes.

    def needed_to_tokenise(self, wildcards: Any) -> list[str]:
        """What has to be there before a corpus is tokenised: its manifest."""
        if TOKENS.is_there(layout.TOKENS / wildcards.id):
            return []
        tokens = self.project.tokens.get(wildcards.id)
        if tokens is None:
            raise NervelabError(
                f"params.yaml asks for no tokens with the id {wildcards.id}: `nervelab status` lists what it asks for."
            )
        return [str(layout.CORPORA / tokens.corpus.id / MANIFEST)]

    def needed_to_train(self, wildcards: Any) -> list[str]:
        """What has to be there before a run is trained: its plan and the manifest of its data."""
        if TRAIN.is_there(layout.run_folder(wildcards.scale, wildcards.name)):
            return []
        plan = layout.plan_path(wildcards.name)
        if wildcards.name in self.run_names:
            data = self.project.run(wildcards.name).data.folder
        elif plan.exists():  # params.yaml was edited while the run was queued
            data = layout.data_folder(read_json(plan, REMEDY)["inputs"])
        else:
            raise NervelabError(
                f"params.yaml asks for no run named {wildcards.name}: `nervelab status` lists what it asks for."
            )
        return [str(plan), str(data / MANIFEST)]

    @cached_property
    def stages(self) -> dict[str, Stamp]:
        """The stamps of the rendering stages: each key holds the key of the stage before."""
        stamps: dict[str, Stamp] = {}
        before: dict[str, Any] = {}
        for stage in RENDERINGS:
            determinants = before | stage.determinants(self) | {"code": fingerprint(stage.entries)}
            stamps[stage.name] = Stamp(stage.stamps(self), stage.name, determinants)
            before = {"before": stamps[stage.name].key}
        return stamps

    @cached_property
    def stamps(self) -> dict[str, str]:
        """The stamp of each rendering stage: one that is valid, or, from the first stale stage on, one to be made."""
        fresh = TRAIN.is_made(self.project)
        paths = {}
        for stage in RENDERINGS:
            stamp = self.stages[stage.name]
            fresh = fresh and (stage.needs is None or stage.needs.is_made(self.project))
            valid = stamp.valid() if fresh else None
            fresh = valid is not None
            paths[stage.name] = str(valid or stamp.to_make())
        return paths

    def refuse_truncated(self) -> None:
        """Refuse a wanted run or probe that has a file of the wrong size: see the functions below.

        Raises:
            NervelabError: names the file and the remedy.
        """
        for run in self.project.runs:
            refuse_truncated(run)
        for probe in probes(self.project):
            refuse_truncated_probe(probe)


def refuse_truncated(run: Run) -> None:
    """Refuse a folder of another run, or with a file of the wrong size or without its end.

    That is cheap enough for every parse; whoever reads a run compares the sha256 as well.

    Raises:
        NervelabError: names the file and the remedy.
    """
    _refuse_another(run.folder / runfiles.RUN_JSON, "run", run.id, runfiles.RUN_FILES)


def refuse_truncated_probe(probe: Probe) -> None:
    """Refuse a folder of another probe, or with a file of the wrong size: cheap, as `refuse_truncated` is.

    Raises:
        NervelabError: names the file and the remedy.
    """
    _refuse_another(probe.folder / probefiles.PROBE_JSON, "probe", probe.id, (probefiles.PROBES,))


def _refuse_another(recorded: Path, kind: str, id: str, files: Iterable[str]) -> None:
    """Refuse what its record says is another run or probe, and files beside it that are not as long as it says."""
    if not recorded.exists():
        return
    content = _said_by(recorded)
    if content.get("id") != id:
        raise NervelabError(f"{recorded} belongs to {kind} {content.get('id')}, not {id}: {REMEDY}")
    for file in files:
        _refuse_wrong_size(recorded.parent / file, content["bytes"].get(file))


def _said_by(recorded: Path) -> dict[str, Any]:
    content = read_json(recorded, REMEDY)
    if not isinstance(content, dict) or not isinstance(content.get("bytes"), dict):
        raise damaged(recorded, "it does not say how long its files are", REMEDY)
    return content


def _refuse_wrong_size(path: Path, expected: int | None) -> None:
    """Files that may differ between executions have no size on record: they must end as their format does."""
    if not path.exists():
        return
    size = path.stat().st_size
    if expected is not None and size != expected:
        raise damaged(path, f"{size} bytes instead of {expected}", REMEDY)
    if size == 0 or (expected is None and runfiles.cut_short(path)):
        raise damaged(path, "it is empty" if size == 0 else "it has no end", REMEDY)
