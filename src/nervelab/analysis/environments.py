"""Whether the runs that a finding compares were trained alike: by one torch and CUDA, on one kind of device."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from nervelab.aggregates.collect import gather
from nervelab.aggregates.find import Aggregates
from nervelab.analysis.findings.registry import FINDINGS
from nervelab.study.decisions import Analysis

Environment = Mapping[str, Any]
"""What environment.json of a run holds."""


def mixture(environments: Iterable[Environment]) -> str:
    """In what some environments differ, in words, as in "torch 2.8.0 and 2.9.0"; empty where they are alike."""
    known = list(environments)
    kinds = {
        "torch": {str(each.get("torch")) for each in known},
        "CUDA": {str(each.get("cuda") or "unknown") for each in known if _gpu(each)},
        "": {_gpu(each) or "CPU" for each in known},
    }
    return ", ".join(f"{what} {' and '.join(sorted(of))}".strip() for what, of in kinds.items() if len(of) > 1)


def mixtures(compared: Mapping[str, Iterable[str]], environments: Mapping[str, Environment]) -> dict[str, str]:
    """`mixture` of the runs of each finding that compares unlike ones.

    Args:
        compared: the names of the runs of each finding, by its id.
        environments: that of each run, by its name; of a run that is not there nothing is known.
    """
    said = {
        id: mixture(environments[name] for name in set(names) if name in environments) for id, names in compared.items()
    }
    return {id: words for id, words in said.items() if words}


def compared(listing: dict[str, Any], runs_root: Path, settings: Analysis) -> dict[str, set[str]]:
    """The names of the runs that each finding looks up, by its id: every finding is decided, and nothing is written.

    Raises:
        NervelabError: a run is missing or damaged.
    """
    aggregates = Aggregates.of(gather(listing, runs_root), settings)
    return {
        finding.id: {name for effect in finding.decide(aggregates).everything for name in effect.runs}
        for finding in FINDINGS
    }


def _gpu(environment: Environment) -> str | None:
    """The model of the GPU; None where the CPU trained. Before `cuda` was recorded the name alone tells."""
    device = str(environment.get("device"))
    on_gpu = environment["cuda"] is not None if "cuda" in environment else device.startswith("NVIDIA")
    return device if on_gpu else None
