"""Runs that are compared although they were trained by different versions, or on different kinds of device."""

from __future__ import annotations

from pathlib import Path

import pytest

from nervelab.analysis.environments import compared, mixture, mixtures
from nervelab.files import read_json
from nervelab.study.decisions import Analysis
from tests.support.synthetic_runs import LAPTOP, over_seeds, write_study

CPU = {"torch": "2.9.0", "cuda": None, "device": "AMD EPYC 7B13"}
H100 = {"torch": "2.9.0+cu128", "cuda": "12.8", "device": "NVIDIA H100 80GB HBM3"}


@pytest.mark.parametrize(
    ("environments", "words"),
    [
        ([], ""),
        ([CPU, CPU], ""),
        ([CPU, CPU | {"device": "Intel Xeon"}], ""),
        ([CPU, CPU | {"torch": "2.8.0"}, CPU], "torch 2.8.0 and 2.9.0"),
        ([H100, H100 | {"cuda": "12.4"}], "CUDA 12.4 and 12.8"),
        ([H100, H100 | {"device": "NVIDIA H200"}], "NVIDIA H100 80GB HBM3 and NVIDIA H200"),
        ([CPU, H100], "torch 2.9.0 and 2.9.0+cu128, CPU and NVIDIA H100 80GB HBM3"),
        # before the version of CUDA was recorded
        ([{"torch": "2.9.0", "device": "AMD EPYC 7B13"}, CPU], ""),
        ([{"torch": "2.9.0+cu128", "device": "NVIDIA H100 80GB HBM3"}, H100], "CUDA 12.8 and unknown"),
    ],
)
def test_in_what_environments_differ(environments: list[dict], words: str):
    assert mixture(environments) == words
    assert mixture(reversed(environments)) == words


def test_only_findings_that_compare_unlike_runs_are_named():
    environments = {"a": CPU, "b": CPU, "c": CPU | {"torch": "2.8.0"}}
    findings = {"alike": ["a", "b"], "unlike": ["a", "c", "a"], "alone": ["c"], "none": [], "unknown": ["a", "d"]}
    assert mixtures(findings, environments) == {"unlike": "torch 2.8.0 and 2.9.0"}


def test_the_runs_that_a_finding_looks_up_are_known_before_anything_is_rendered(tmp_path: Path):
    gelu, relu = over_seeds(LAPTOP[0]), over_seeds(LAPTOP[1])
    runs_json, runs_root = write_study(tmp_path, (*gelu, *relu))
    settings = Analysis(window_start=0.15, confidence=0.95, bootstrap=100, seed=0)
    found = compared(read_json(runs_json, ""), runs_root, settings)
    assert found["gelu-better"] == {run.name for run in (*gelu, *relu)}
    assert found["r-inversion"] == set()
    assert not (tmp_path / "aggregates").exists()
