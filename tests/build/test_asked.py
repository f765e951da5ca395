"""What was asked for reaches the Snakemake of that build, and no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from nervelab.build.asked import asked, handed_on
from nervelab.build.locks import sole_build
from nervelab.errors import NervelabError
from nervelab.study.options import read_options


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NERVELAB_BUILD", raising=False)
    return tmp_path


def start(monkeypatch: pytest.MonkeyPatch, scale: str | None, only: str | None = None) -> None:
    for name, value in handed_on(scale, only).items():
        monkeypatch.setenv(name, value)


def test_snakemake_on_its_own_goes_by_its_config():
    assert asked(read_options({"device": "cuda"})) == {"scale": None, "only": None}
    assert asked(read_options({"scale": "smoke", "only": "width"})) == {"scale": "smoke", "only": "width"}


def test_a_build_hands_on_what_it_was_asked_for(monkeypatch: pytest.MonkeyPatch):
    with sole_build(print):
        start(monkeypatch, "smoke", "width")
        assert asked(read_options({"device": "cuda"})) == {"scale": "smoke", "only": "width"}
        assert asked(read_options({"scale": "smoke"})) == {"scale": "smoke", "only": "width"}


def test_a_profile_that_names_another_scale_is_refused(monkeypatch: pytest.MonkeyPatch):
    with sole_build(print):
        start(monkeypatch, None)
        with pytest.raises(NervelabError, match=r"scale=smoke.*what params\.yaml says.*nervelab build --scale smoke"):
            asked(read_options({"scale": "smoke"}))
        start(monkeypatch, None, "width")
        with pytest.raises(NervelabError, match=r"only=activation.*asked for width"):
            asked(read_options({"only": "activation"}))


@pytest.mark.parametrize("left", [None, "smoke", "[]", "{}", '{"build": 1, "scale": "smoke", "only": null}'])
def test_a_variable_that_is_left_over_is_refused(monkeypatch: pytest.MonkeyPatch, left: str | None):
    with sole_build(print):
        start(monkeypatch, "smoke")
    if left is not None:
        monkeypatch.setenv("NERVELAB_BUILD", left)
    with pytest.raises(NervelabError, match=r"NERVELAB_BUILD is left over.*unset it"):
        asked(read_options({}))


def test_where_nothing_was_ever_built_it_is_refused_too(monkeypatch: pytest.MonkeyPatch):
    start(monkeypatch, "smoke")
    with pytest.raises(NervelabError, match="NERVELAB_BUILD is left over"):
        asked(read_options({}))


def test_a_job_outlives_the_build_that_it_was_submitted_by(monkeypatch: pytest.MonkeyPatch):
    with sole_build(print):
        start(monkeypatch, "smoke", "width")
    assert asked(read_options({}), in_job=True) == {"scale": "smoke", "only": "width"}
