"""Which runs are probed once they are trained, and the identity of each probe. Changes no run."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from nervelab import layout
from nervelab.files import digest
from nervelab.paper.architectures import BASELINE
from nervelab.study.config import Measure
from nervelab.study.decisions import Probing
from nervelab.study.fingerprint import fingerprint
from nervelab.study.runs import ID_LENGTH, Project, Run

ENTRY = "nervelab.nulls.probe"
"""The module whose code, with all that it imports, determines what a probe measures. No trainer imports it."""


@dataclass(frozen=True)
class Probe:
    """The probe of the weights that a run keeps."""

    run: Run
    settings: Probing

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the code that probes."""
        return _code()

    @cached_property
    def id(self) -> str:
        """Hash of the run's id, of the settings and of the code fingerprint."""
        settings = self.settings.model_dump(mode="json")
        return digest({"run": self.run.id, "settings": settings, "code": self.fingerprint})[:ID_LENGTH]

    @property
    def folder(self) -> Path:
        """Where its files lie."""
        return layout.probe_folder(self.run.scale, self.run.name, self.id)

    @property
    def name(self) -> str:
        """The name of its folder."""
        return self.folder.name


def is_probed(run: Run) -> bool:
    """The rule: whether findings compare what a probe of this run measures.

    They do of text runs over the baseline's base by its optimiser, at the rate of their recipe, that are measured as
    usual, in eval mode. Whether one finished is known only after its training: the probe of one that did not is empty.
    """
    compared = all(run.settings.get(key) == BASELINE[key] for key in ("base", "optimiser"))
    usual = run.config.measure.mode == Measure.model_fields["mode"].default
    at_recipe = "optimiser.lr" not in run.off_base
    return compared and at_recipe and usual and run.config.dataset.modality == "text"


def probes(project: Project) -> list[Probe]:
    """The probes that a project asks for, in the order of its runs."""
    return [Probe(run, project.params.probe) for run in project.runs if is_probed(run)]


@cache
def _code() -> str:
    return fingerprint((ENTRY,))
