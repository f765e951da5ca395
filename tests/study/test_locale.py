"""Identities are the same under every locale, hash seed and way of Python to read text."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ID = """
from pydantic import TypeAdapter
from nervelab.study.components import TRAINER
from nervelab.study.config import Dataset
from nervelab.study.fingerprint import fingerprint
from nervelab.study.runs import Corpus
source = {"kind": "folder", "path": "texts", "suffix": ".txt", "licence": "Apache-2.0"}
record = {"modality": "text", "source": source, "cleaning": "none", "megabytes": None}
record |= {"validation": 0.3, "test": 0.1, "seed": 0}
print(Corpus("texts", TypeAdapter(Dataset).validate_python(record)).id, fingerprint([TRAINER]))
"""


def identities(folder: Path, **variables: str) -> str:
    answer = subprocess.run(
        [sys.executable, "-c", ID],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(each for each in sys.path if each), **variables},
        check=True,
        stdout=subprocess.PIPE,
    )
    return answer.stdout.decode()


@pytest.mark.parametrize(
    "variables",
    [
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"LC_ALL": "C.UTF-8", "PYTHONUTF8": "1", "PYTHONHASHSEED": "4711", "TZ": "Asia/Kathmandu"},
    ],
)
def test_a_corpus_and_the_code_have_one_identity(tmp_path: Path, variables: dict[str, str]):
    # One name is beyond ASCII, and in this order only where names are compared as UTF-8.
    for name in ("zoë/\U0001f40d.txt", "zoë/\uffee.txt", "zoe.txt"):
        path = tmp_path / "texts" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"naïve – {name}\n", encoding="utf-8")
    assert identities(tmp_path, **variables) == identities(tmp_path)
