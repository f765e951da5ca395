"""The study by Slurm: what is made is what the default profile makes, and nothing is made twice."""

from __future__ import annotations

import pytest

from tests.slurm.lab import Lab, Step
from tests.support.project import Project

pytestmark = pytest.mark.slurm


def spans(steps: list[Step]) -> dict[str, tuple[int, int]]:
    """The places of the first and the last step of each process in the order of all steps."""
    found: dict[str, tuple[int, int]] = {}
    for place, step in enumerate(steps):
        found[step.process] = (found.get(step.process, (place, place))[0], place)
    return found


@pytest.mark.slurm_short
def test_the_whole_study(new: Lab, small: Project):
    new.run("nervelab build --profile slurm")
    assert new.results() == small.results()
    assert [step.number for step in new.steps()].count(0) == 4
    assert len(new.steps()) == 4 * 20
    assert "-" not in {step.job for step in new.steps()}
    # Data are made where the build runs: a job sees no package index.
    assert all("train" in path.name for path in new.folder.glob(".snakemake/slurm_logs/*"))
    assert new.slurm.queue() == {}
    assert "nothing to be done" in new.run("nervelab build --profile slurm")


def test_two_gpus_are_taken_side_by_side_and_never_shared(untrained: Lab, same):
    untrained.profile("set-resources:", "  train:", "    gpu: 1")
    untrained.run("snakemake --profile workflow/profiles/slurm activation")
    same(untrained)
    steps = untrained.steps()
    assert {step.gpus for step in steps} == {"0", "1"}
    (first, first_end), (second, second_end) = spans(steps).values()
    assert first < second < min(first_end, second_end)


def test_dvc_repro_by_its_variable(new: Lab, small: Project):
    command = "env SNAKEMAKE_PROFILE=workflow/profiles/slurm dvc repro"
    new.run(command)
    assert new.results() == small.results()
    assert len(new.steps()) == 4 * 20
    assert "-" not in {step.job for step in new.steps()}
    said = new.run(command)
    assert "Data and pipelines are up to date" in said
    assert len(new.steps()) == 4 * 20
