"""params.yaml and config/ are read strictly: each mistake is one sentence with the file, the key and the remedy."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from nervelab.errors import NervelabError
from nervelab.study.expand import expand
from nervelab.study.params import read_params
from tests.faults.registry import Fault, name
from tests.study.mistakes import MISTAKES
from tests.support.project_files import copied

FAULTS = [
    Fault(
        id=mistake.id,
        group="What is asked for",
        fault=f"{mistake.file}: {mistake.wrong}",
        sentence=f"{mistake.file}, the line or the key, what is wrong with it and what may stand there.",
        kept="Everything; nothing is begun.",
    )
    for mistake in MISTAKES
]


def resolve(path: Path) -> None:
    params = read_params(path)
    list(expand(params, params.scale))


@pytest.mark.parametrize("fault", FAULTS, ids=name)
def test_a_mistake_is_one_sentence_with_file_and_key(tmp_path: Path, fault: Fault):
    mistake = next(each for each in MISTAKES if each.id == fault.id)
    path = copied(tmp_path)
    mistake.make(tmp_path)
    with pytest.raises(NervelabError) as caught:
        resolve(path)
    said = str(caught.value)
    assert said.startswith(str(tmp_path / mistake.file)), said
    assert re.search(mistake.said, said.removeprefix(str(tmp_path / mistake.file)).removeprefix(": ")), said
    assert said.isprintable(), said
    assert said.endswith("."), said


def test_each_has_a_name_of_its_own():
    assert len({mistake.id for mistake in MISTAKES}) == len(MISTAKES)
