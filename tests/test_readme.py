"""What the README shows is so."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from dvc.utils.hydra import apply_overrides

from nervelab.study.expand import expand
from nervelab.study.params import read_params
from tests.support.project_files import PARAMS, copied

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


OVERRIDES = [
    (page, said)
    for page in ("README.md", "config/README.md")
    for said in re.findall(r"dvc exp run -S ([^`\s]+)", (ROOT / page).read_text(encoding="utf-8"))
]


@pytest.mark.parametrize(("page", "said"), OVERRIDES)
def test_overrides_shown_are_taken_and_change_what_is_asked_for(tmp_path: Path, page: str, said: str):
    """By DVC's own writer; the studies still resolve at every scale."""
    path = copied(tmp_path)
    file, _, override = said.rpartition(":")
    apply_overrides(tmp_path / (file or path.name), [override])
    before, after = (read_params(each) for each in (PARAMS, path))
    assert after.model_dump() != before.model_dump()
    assert [len(list(expand(after, scale))) for scale in after.scales] == [
        len(list(expand(before, scale))) for scale in before.scales
    ]
    if not override.startswith("analysis."):
        configs = ({point.config for point in expand(params, "laptop")} for params in (before, after))
        assert next(configs) != next(configs)


def test_overrides_of_both_kinds_are_shown():
    assert {page for page, _ in OVERRIDES} == {"README.md", "config/README.md"}
    assert any(":+" in said for _, said in OVERRIDES)


def test_commands_shown_exist():
    said = subprocess.run([sys.executable, "-m", "nervelab.cli", "--help"], capture_output=True, text=True, check=True)
    for verb in set(re.findall(r"`nervelab (\w+)", README)):
        assert verb in said.stdout
