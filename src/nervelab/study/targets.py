"""The files a build has to make, as the Snakefile asks for them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from nervelab import layout
from nervelab.errors import NervelabError
from nervelab.files import read_json
from nervelab.study.fingerprint import fingerprint
from nervelab.study.runs import Project, load_project
from nervelab.study.stamps import Stamp, stamp_key

REMEDY = "delete it and run make again."
AGGREGATE_ENTRY = "nervelab.analysis.aggregate"
ANALYSE_ENTRY = "nervelab.analysis.analyse"
REPORT_ENTRY = "nervelab.report.report"


@dataclass(frozen=True)
class Targets:
    """What `project` asks for; `named` says that its scale was named on the command line."""

    project: Project
    named: bool

    @classmethod
    def of(cls, scale: str | None = None, params: Path = layout.PARAMS) -> Targets:
        """The targets at `scale`, or at the scale of params.yaml.

        Raises:
            NervelabError: bad input, or a run on disk that was cut short.
        """
        targets = cls(load_project(params, scale), named=scale is not None)
        targets.refuse_truncated()
        return targets

    @property
    def scale_option(self) -> str:
        """The option that repeats a scale named on the command line."""
        return f"--scale {self.project.scale}" if self.named else ""

    @property
    def results(self) -> Path:
        """Where this build renders."""
        return layout.results_folder(self.project.scale, named=self.named)

    @property
    def aggregates(self) -> Path:
        """Where the runs' rows are gathered."""
        return layout.AGGREGATES / self.project.scale

    @property
    def run_names(self) -> list[str]:
        """The names of the wanted runs, in the order of params.yaml."""
        return [run.name for run in self.project.runs]

    @property
    def plan_files(self) -> list[str]:
        """The plan of every wanted run."""
        return [str(layout.plan_path(name)) for name in self.run_names]

    @property
    def run_jsons(self) -> list[Path]:
        """The run.json of every wanted run."""
        return [run.folder / layout.RUN_JSON for run in self.project.runs]

    @property
    def run_files(self) -> list[str]:
        """Every file of every wanted run: a run of which one is deleted is trained again."""
        return [str(run.folder / file) for run in self.project.runs for file in layout.RUN_FILES]

    @property
    def corpus_files(self) -> list[str]:
        """Every file of every wanted corpus."""
        return [str(layout.CORPORA / id / file) for id in self.project.corpora for file in layout.CORPUS_FILES]

    @property
    def tokens_files(self) -> list[str]:
        """Every file of every wanted tokenised corpus."""
        return [str(layout.TOKENS / id / file) for id in self.project.tokens for file in layout.TOKENS_FILES]

    @property
    def data_files(self) -> list[str]:
        """Every file of the data."""
        return self.corpus_files + self.tokens_files

    def corpus_of(self, wildcards: Any) -> str:
        """The manifest of the corpus that a tokenised corpus is made from."""
        tokens = self.project.tokens.get(wildcards.id)
        if tokens is None:
            raise NervelabError(
                f"params.yaml asks for no tokens with the id {wildcards.id}: `nervelab runs` lists what it asks for."
            )
        return str(layout.CORPORA / tokens.corpus.id / layout.MANIFEST)

    def tokens_of(self, wildcards: Any) -> str:
        """The manifest of the tokens that a run reads; a run that params.yaml no longer asks for has it in its plan."""
        plan = layout.plan_path(wildcards.name)
        if wildcards.name in self.run_names:
            id = self.project.run(wildcards.name).tokens.id
        elif plan.exists():
            id = json.loads(plan.read_text())["inputs"]["tokens"]
        else:
            raise NervelabError(
                f"params.yaml asks for no run named {wildcards.name}: `nervelab runs` lists what it asks for."
            )
        return str(layout.TOKENS / id / layout.MANIFEST)

    @cached_property
    def stages(self) -> dict[str, Stamp]:
        """The stamps of the rendering stages: each key holds the key of the stage before."""
        shown = [[run.name, run.settings] for run in self.project.runs]
        index = stamp_key(self.project.scale, shown)
        aggregate = stamp_key(index, fingerprint([AGGREGATE_ENTRY]))
        analyse = stamp_key(
            aggregate, self.project.params.analysis.model_dump(mode="json"), fingerprint([ANALYSE_ENTRY])
        )
        report = stamp_key(analyse, fingerprint([REPORT_ENTRY]))
        stamps = self.results / "stamps"
        return {
            "index": Stamp(stamps, "index", index),
            "aggregate": Stamp(self.aggregates, "aggregate", aggregate),
            "analyse": Stamp(stamps, "analyse", analyse),
            "report": Stamp(stamps, "report", report),
        }

    @cached_property
    def index(self) -> str:
        """The stamp of results/runs.json."""
        return str(self.stages["index"].current())

    @cached_property
    def aggregate(self) -> str:
        """The stamp of the aggregated rows."""
        return str(self.stages["aggregate"].current())

    @cached_property
    def analyse(self) -> str:
        """The stamp of the tables and findings."""
        return str(self.stages["analyse"].current())

    @cached_property
    def report(self) -> str:
        """The stamp of the figures and the page."""
        return str(self.stages["report"].current())

    @property
    def stamps(self) -> list[str]:
        """The stamps of all rendering stages."""
        return [self.index, self.aggregate, self.analyse, self.report]

    def refuse_truncated(self) -> None:
        """Refuse a wanted run that has a file of the wrong size: cheap enough for every parse.

        Whoever reads a run compares the sha256 as well.

        Raises:
            NervelabError: names the file and the remedy.
        """
        for run in self.project.runs:
            recorded = run.folder / layout.RUN_JSON
            if recorded.exists():
                sizes = read_json(recorded, REMEDY)["bytes"]
                for file in layout.RUN_FILES:
                    _refuse_wrong_size(run.folder / file, sizes.get(file))


def _refuse_wrong_size(path: Path, expected: int | None) -> None:
    """Files that may differ between executions have no size on record; empty they may not be."""
    if not path.exists():
        return
    size = path.stat().st_size
    if size == 0 or (expected is not None and size != expected):
        should = "it is empty" if expected is None else f"{size} bytes instead of {expected}"
        raise NervelabError(f"{path} is damaged ({should}): {REMEDY}")
