"""params.yaml and the catalogue beside it: what they may say, and how one part derives from another."""

from __future__ import annotations

from pathlib import Path

import pytest

from nervelab.errors import NervelabError
from nervelab.study.params import params_files, read_params
from nervelab.study.runs import load_project
from tests.support.project_files import PARAMS, edited, saved, written


def test_the_projects_own_files_are_valid():
    params = read_params(PARAMS)
    assert params.scale in params.scales
    assert [file.name for file in params_files(PARAMS)] == ["params.yaml", "data.yaml", "bases.yaml"]


def test_one_file_may_hold_every_section(tmp_path: Path):
    path = saved(tmp_path, written())
    assert params_files(path) == [path]
    assert read_params(path).model_dump() == read_params(PARAMS).model_dump()


def test_a_scale_that_a_base_lacks_is_named(tmp_path: Path):
    path = edited(tmp_path, "config/bases.yaml", "    smoke: {from: laptop, dataset: python-packages-small}\n", "")
    with pytest.raises(NervelabError, match=r"bases\.yaml: bases\.gpt2-codeparrot\.smoke is missing, but studies\.act"):
        load_project(path, "smoke")
