# The study as a DAG. params.yaml says what to make; every name carries what it depends on, so presence is freshness.
import os
import sys
from pathlib import Path

from snakemake.utils import min_version

from nervelab import datafiles, runfiles
from nervelab.study.targets import Targets

min_version("9.0")

# Jobs call the `nervelab` of the Python that runs this, activated or not.
shell.prefix(f"export PATH='{Path(sys.executable).parent}':$PATH; ")

targets = Targets.of(
    scale=config.get("scale") or os.environ.get("NERVELAB_SCALE"),
    only=config.get("only") or os.environ.get("NERVELAB_ONLY"),
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
