"""Where everything lies, relative to the project's root. Names only: nothing here touches the disk."""

from pathlib import Path

PARAMS = Path("params.yaml")
CORPORA = Path("data/corpora")
TOKENS = Path("data/tokens")
WHEELS = Path("data/wheels")
PLANS = Path("plans")
CHECKPOINTS = Path(".checkpoints")
RUNS = Path("runs")
AGGREGATES = Path("aggregates")
RESULTS = Path("results")

MANIFEST = "manifest.json"
CORPUS_FILES = ("documents.parquet", MANIFEST)
TOKENS_FILES = ("train.bin", "validation.bin", "test.bin", "tokenizer.json", MANIFEST)

RUN_JSON = "run.json"
# Equal, byte for byte, between two executions of a run on one machine; run.json holds their sha256.
RUN_RESULTS = ("spectra.parquet", "eigenvalues.parquet", "history.parquet", "model.safetensors")
# What may differ between two executions.
RUN_CIRCUMSTANCES = ("timing.parquet", "environment.json")
RUN_FILES = (*RUN_RESULTS, *RUN_CIRCUMSTANCES, RUN_JSON)


def run_folder(scale: str, name: str) -> Path:
    """The folder of a run, named by its slug and id."""
    return RUNS / scale / name


def plan_path(name: str) -> Path:
    """The frozen plan of a run."""
    return PLANS / f"{name}.json"


def code_folder(fingerprint: str) -> Path:
    """The snapshot of the code with this fingerprint: the folder that holds the package."""
    return PLANS / "code" / fingerprint


def results_folder(scale: str, *, named: bool) -> Path:
    """Where a scale renders: `results/`, or `results/<scale>/` when the scale was named on the command line."""
    return RESULTS / scale if named else RESULTS
