"""The stages, in the order in which they are made. Snakemake's rules, the verbs, `check`, `status` and the view of a
build's progress follow from them; dvc.yaml names their targets.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nervelab import layout
from nervelab.data.folders import verify
from nervelab.datafiles import CORPUS_FILES, TOKENS_FILES
from nervelab.probefiles import PROBE_FILES, PROBE_JSON
from nervelab.runfiles import RUN_FILES
from nervelab.stages.stage import Folders, Made, Rendering
from nervelab.study.index import listed
from nervelab.study.probing import probes

if TYPE_CHECKING:
    from nervelab.stages.targets import Targets
    from nervelab.study.runs import Project

# What a stage makes is imported when it is made: the DAG is to parse fast.


def _verify_run(folder: Path) -> None:
    from nervelab.aggregates.verified import verify_run

    verify_run(folder)


def _verify_probe(folder: Path) -> None:
    from nervelab.aggregates.verified import verify_probe

    verify_probe(folder)


def _has_torch() -> bool:
    return find_spec("torch") is not None


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
PROBE = Folders(
    target="probed",
    doing="probing the trained networks",
    files=PROBE_FILES,
    wanted=lambda project: (probe.folder for probe in probes(project)),
    verify=_verify_probe,
    made_here=_has_torch,
)
FOLDERS = (CORPUS, TOKENS, TRAIN, PROBE)


def _index(targets: Targets) -> Made:
    from nervelab.study.index import write_index

    write_index(targets.project, targets.runs_json)
    return Made(targets.run_jsons, [targets.runs_json])


def _aggregate(targets: Targets) -> Made:
    from nervelab.aggregates.collect import aggregate

    # Timings are gathered too, but nothing is stale because a run took longer.
    written = aggregate(targets.runs_json, layout.RUNS, targets.aggregates, layout.PROBES)
    return Made([*targets.run_jsons, *(folder / PROBE_JSON for folder in PROBE.expected(targets.project))], written)


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
    runs = listed(project)
    probed = {run["name"]: run.pop("probe") for run in runs}
    return {"scale": project.scale, "runs": runs, "data": sorted(project.data), "probed": probed}


def _probed(targets: Targets) -> dict[str, Any]:
    """By which probes there are: results without those that are made later are stale then."""
    return {"probes": [folder.name for folder in PROBE.expected(targets.project)]}


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
    determinants=_probed,
    needs=PROBE,
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
