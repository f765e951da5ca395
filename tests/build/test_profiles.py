"""Which profile a build is made by."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import yaml

from nervelab.build.profiles import read_profile
from nervelab.errors import NervelabError

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the workflow's profiles, and with none of the shell's."""
    (tmp_path / "workflow").mkdir()
    (tmp_path / "workflow" / "profiles").symlink_to(ROOT / "workflow" / "profiles")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SNAKEMAKE_PROFILE", raising=False)
    return tmp_path


def own(folder: Path, text: str = "jobs: 3\n") -> None:
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(text, encoding="utf-8")


@pytest.fixture
def without_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name.startswith("snakemake_executor_") else found(name)
    )


def test_it_is_named_or_it_is_a_path(folder: Path):
    own(folder / "slurm")
    own(folder / "ours" / "big")
    assert read_profile(None).options == ()
    assert read_profile("slurm").options == ("--profile", "workflow/profiles/slurm")
    assert read_profile("workflow/profiles/slurm").options == ("--profile", "workflow/profiles/slurm")
    assert read_profile("./slurm").options == ("--profile", "./slurm")
    assert read_profile("ours/big").options == ("--profile", "ours/big")
    assert read_profile(str(folder / "ours" / "big")).options == ("--profile", str(folder / "ours" / "big"))


def test_another_is_refused_with_the_list():
    with pytest.raises(NervelabError) as refused:
        read_profile("slrum")
    names = sorted(path.name for path in (ROOT / "workflow" / "profiles").iterdir())
    assert str(refused.value) == (
        f"there is no profile 'slrum': name one of {', '.join(names)}, which lie in workflow/profiles, "
        "or the path of a folder that holds a config.yaml."
    )


@pytest.mark.usefixtures("without_plugins")
@pytest.mark.parametrize("by", ["name", "variable"])
def test_without_its_plugin_it_is_refused(monkeypatch: pytest.MonkeyPatch, by: str):
    monkeypatch.setenv("SNAKEMAKE_PROFILE", "workflow/profiles/slurm")
    with pytest.raises(NervelabError) as refused:
        read_profile("slurm" if by == "name" else None)
    assert str(refused.value) == (
        "the profile workflow/profiles/slurm submits jobs by snakemake-executor-plugin-slurm, which is not installed: "
        "pip install -e '.[slurm]', or run make PROFILE=workflow/profiles/slurm."
    )


@pytest.mark.usefixtures("without_plugins")
def test_the_default_profile_needs_none():
    assert read_profile("default").options == ("--profile", "workflow/profiles/default")


def test_one_that_is_no_yaml_is_refused(folder: Path):
    own(folder / "ours", "jobs: [3\n")
    with pytest.raises(NervelabError, match=r"^ours/config.yaml is not YAML: "):
        read_profile("ours")


def test_the_profiles_name_executors_that_the_locks_bring():
    extras = (ROOT / "requirements-cluster.lock").read_text(encoding="utf-8")
    for path in sorted((ROOT / "workflow" / "profiles").glob("*/config.yaml")):
        executor = yaml.safe_load(path.read_text(encoding="utf-8")).get("executor", "local")
        assert executor == "local" or f"snakemake-executor-plugin-{executor}==" in extras, path
