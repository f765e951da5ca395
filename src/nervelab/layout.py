"""Where everything lies, relative to the project's root. Names only: nothing here touches the disk."""

from pathlib import Path

PARAMS = Path("params.yaml")
# What may stand in a file of its own beside params.yaml: these sections, and no others.
CATALOGUE = {Path("config/data.yaml"): ("datasets", "tokenizers"), Path("config/bases.yaml"): ("bases",)}
EXECUTION = Path("workflow/execution.yaml")
CORPORA = Path("data/corpora")
TOKENS = Path("data/tokens")
WHEELS = Path("data/wheels")
PLANS = Path("plans")
TOGETHER = PLANS / "together"  # what jobs leave that train several runs, while a build lasts
CHECKPOINTS = Path(".checkpoints")
FROZEN = Path(".nervelab.frozen")  # the fingerprints of the code that was frozen in this folder
RUNS = Path("runs")
PROBES = Path("probes")
AGGREGATES = Path("aggregates")
RESULTS = Path("results")


def run_folder(scale: str, name: str) -> Path:
    """The folder of a run, named by its slug and id."""
    return RUNS / scale / name


def probe_folder(scale: str, run: str, id: str) -> Path:
    """The folder of a probe, named by its run and its own id."""
    return PROBES / scale / f"{run}-{id}"


def data_folder(inputs: dict[str, str]) -> Path:
    """The folder of the data of a run, given as their id by their kind."""
    ((kind, id),) = inputs.items()
    return {"tokens": TOKENS, "corpus": CORPORA}[kind] / id


def plan_path(name: str) -> Path:
    """The frozen plan of a run."""
    return PLANS / f"{name}.json"


def code_folder(fingerprint: str) -> Path:
    """The snapshot of the code with this fingerprint: the folder that holds the package."""
    return PLANS / "code" / fingerprint


def results_folder(scale: str, *, named: bool, only: str | None) -> Path:
    """Where a build renders.

    That is `results/`, or `results/<scale>/` when the scale was named on the command line; for one study alone
    `only/<study>/` below it. Which of these git keeps, .gitignore decides.
    """
    folder = RESULTS / scale if named else RESULTS
    return folder if only is None else folder / "only" / only


def aggregates_folder(scale: str, *, only: str | None) -> Path:
    """Where the rows of a scale's runs, or of one study's, are gathered."""
    return AGGREGATES / (scale if only is None else f"{scale}-only-{only}")
