# The study as a DAG. params.yaml says what to make; every name carries what it depends on, so presence is freshness.
import os
import sys
from pathlib import Path

from snakemake import __version__ as version

try:
    from nervelab import datafiles, runfiles
    from nervelab.build.engine import one_sentence, refuse_other_versions, settle
    from nervelab.study.options import read_options
    from nervelab.study.targets import Targets
except ModuleNotFoundError as error:
    sys.exit(
        f"error: the Python of this Snakemake lacks {error.name}: run make, or .venv/bin/snakemake."
    )

# Jobs call the `nervelab` of the Python that runs this, activated or not.
shell.prefix(f"export PATH='{Path(sys.executable).parent}':$PATH; ")

with one_sentence():
    refuse_other_versions(version)
    options = read_options(config)
    settle(workflow, device=options.device, gpus=options.gpus)
    targets = Targets.of(
        scale=options.scale or os.environ.get("NERVELAB_SCALE"),
        only=options.only or os.environ.get("NERVELAB_ONLY"),
    )


wildcard_constraints:
    id="[0-9a-f]{10}",
    scale="[a-z]+",
    name="[^/]+",


localrules:
    all,
    trained,


include: "workflow/rules/data.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/analysis.smk"
include: "workflow/rules/report.smk"


rule all:
    default_target: True
    input:
        targets.data_files,
        targets.run_files,
        targets.stamps.values(),


# `data`, `tokens`, `trained`, `aggregated`, `analysed`: the stages of dvc.yaml, each a target of its own.
rule trained:
    input:
        targets.run_files,
        targets.stamps["index"],
