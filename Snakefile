# The study as a DAG. params.yaml says what to make; every name carries what it depends on, so presence is freshness.
import sys
from pathlib import Path

from snakemake import __version__ as version

# The code is what lies in src here, before whatever is installed, and nothing else that lies here: Snakemake looks for
# modules in this folder, where a file called random.py would be taken for Python's.
sys.path[:] = [
    str(Path("src").resolve()),
    *(each for each in sys.path if Path(each).resolve() != Path.cwd()),
]

try:
    from nervelab import datafiles, runfiles
    from nervelab.build.asked import asked
    from nervelab.build.engine import one_sentence, refuse_other_versions, settle
    from nervelab.build.environment import take_on
    from nervelab.stages.chain import RENDERINGS
    from nervelab.stages.jobs import Jobs
    from nervelab.stages.targets import Targets
    from nervelab.study.execution import read_execution
    from nervelab.study.options import read_options
except ModuleNotFoundError as error:
    sys.exit(
        f"error: the Python of this Snakemake lacks {error.name}: run make, or .venv/bin/snakemake."
    )

with one_sentence():
    refuse_other_versions(version)
    take_on()  # for the jobs: they call the `nervelab` of the Python that runs this, activated or not
    options = read_options(config)
    targets = Targets.of(**asked(options, in_job=not workflow.is_main_process))
    jobs = Jobs(targets, read_execution(), options)
    settle(workflow, jobs)


wildcard_constraints:
    id="[0-9a-f]{10}",
    scale="[a-z]+",
    name="[^/]+",
    ids=r"[0-9a-f]{10}(\+[0-9a-f]{10})+",
    number="[0-9]+",


localrules:
    all,
    trained,


include: "workflow/rules/data.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/probe.smk"
include: "workflow/rules/rendering.smk"


rule all:
    default_target: True
    input:
        targets.data_files,
        jobs.input_of(targets.project.runs, workflow),
        targets.probe_files,
        targets.stamps.values(),


# `data`, `tokens`, `trained`, `probed`, `aggregated`, `analysed`: the stages of dvc.yaml, each a target of its own.
rule trained:
    input:
        jobs.input_of(targets.project.runs, workflow),
        targets.stamps["index"],
