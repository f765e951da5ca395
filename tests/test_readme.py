"""What the README shows is so."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


@pytest.mark.parametrize("code", blocks("python"))
def test_python_blocks_run(code: str):
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    assert "PR" in answer.stdout


def test_the_study_shown_is_the_study_of_params():
    (shown,) = blocks("yaml")
    studies = yaml.safe_load((ROOT / "params.yaml").read_text())["studies"]
    assert yaml.safe_load(shown)["studies"]["activation"] == studies["activation"]


@pytest.mark.parametrize("name", re.findall(r"\]\(([^):#]+)\)", README))
def test_links_lead_somewhere(name: str):
    assert (ROOT / name).exists()


def test_commands_shown_exist():
    said = subprocess.run([sys.executable, "-m", "nervelab.cli", "--help"], capture_output=True, text=True, check=True)
    for verb in set(re.findall(r"`nervelab (\w+)", README)):
        assert verb in said.stdout
