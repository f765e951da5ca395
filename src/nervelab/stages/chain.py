"""The stages, in the order in which they are made. Snakemake's rules, the verbs, `check`, `status` and the view of a
build's progress follow from them; dvc.yaml names their targets.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nervelab import layout
from nervelab.data.folders import verify
from nervelab.datafiles import CORPUS_FILES, TOKENS_FILES
from nervelab.runfiles import RUN_FILES
from nervelab.stages.stage import Folders, Made, Rendering
from nervelab.study.index import described

if TYPE_CHECKING:
    from nervelab.stages.targets import Targets
    from nervelab.study.runs import Project

# What a stage makes is imported when it is made: the DAG is to parse fast.


def _verify_run(folder: Path) -> None:
    from nervelab.aggregates.verified import verify_run

    verify_run(folder)


def _run_folders(project: Project) -> Iterator[Path]:
    return (run.folder for run in project.runs)


CORPUS = Folders(
    target="data",
    doing="fetching and cleaning the data",
    files=CORPUS_FILES,
    wanted=lambda project: (layout.CORPORA / id for id in project.corpora),
    verify=verify,
)
TOKENS = Folders(
    target="tokens",
    doing="tokenising the data",
    files=TOKENS_FILES,
    wanted=lambda project: (layout.TOKENS / id for id in project.tokens),
    verify=verify,
)
TRAIN = Folders(
    target="trained",
    doing="training",
    files=RUN_FILES,
    wanted=_run_folders,
    verify=_verify_run,
)
FOLDERS = (CORPUS, TOKENS, TRAIN)


def _index(targets: Targets) -> Made:
    from nervelab.study.index import write_index

    write_index(targets.project, targets.runs_json)
    return Made(targets.run_jsons, [targets.runs_json])


def _aggregate(targets: Targets) -> Made:
    from nervelab.aggregates.collect import aggregate

    # Timings are gathered too, but nothing is stale because a run took longer.
    return Made(targets.run_jsons, aggregate(targets.runs_json, layout.RUNS, targets.aggregates))


def _analyse(targets: Targets) -> Made:
    from nervelab.analysis.analyse import analyse

    settings = targets.project.params.analysis
    return Made(_gathered(targets), analyse(targets.aggregates, targets.results, settings))


def _report(targets: Targets) -> Made:
    from nervelab.report.provenance import write_provenance
    from nervelab.report.report import render

    results = targets.results
    provenance = results / "provenance.json"
    decided = [*sorted((results / "tables").glob("*.csv")), results / "findings.csv"]
    folders = {run.name: run.folder for run in targets.project.runs}
    write_provenance(provenance, params=layout.PARAMS, folders=folders)
    written = render(
        results_dir=results,
        aggregates_dir=targets.aggregates,
        runs_json=targets.runs_json,
        settings=targets.project.params.analysis,
        provenance=provenance,
    )
    return Made([*_gathered(targets), *decided, targets.runs_json], [*written, provenance])


def _listed(targets: Targets) -> dict[str, Any]:
    project = targets.project
    listed = [described(run) for run in project.runs]
    return {"scale": project.scale, "runs": listed, "data": sorted(project.data)}


def _gathered(targets: Targets) -> list[Path]:
    return sorted(targets.aggregates.glob("*.parquet"))


INDEX = Rendering(
    name="index",
    target=None,  # it is made with the runs
    says="Write results/runs.json.",
    entries=("nervelab.study.index",),
    determinants=_listed,
    make=_index,
)
AGGREGATE = Rendering(
    name="aggregate",
    target="aggregated",
    says="Gather the rows of all runs.",
    entries=("nervelab.aggregates.collect",),
    writes_in=lambda targets: targets.aggregates,
    stamps=lambda targets: targets.aggregates,
    make=_aggregate,
)
ANALYSE = Rendering(
    name="analyse",
    target="analysed",
    says="Write the tables and decide the findings.",
    entries=("nervelab.analysis.analyse",),
    determinants=lambda targets: {"analysis": targets.project.params.analysis.model_dump(mode="json")},
    make=_analyse,
)
REPORT = Rendering(
    name="report",
    target=None,  # it is the last: all
    says="Draw the figures and render the page.",
    entries=("nervelab.report.report", "nervelab.report.provenance"),
    make=_report,
)
RENDERINGS = (INDEX, AGGREGATE, ANALYSE, REPORT)
