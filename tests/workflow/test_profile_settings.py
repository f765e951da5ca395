"""What Snakemake is really set to under each profile, however it is named: the table in docs/cluster.md."""

from __future__ import annotations

import re
import subprocess
from dataclasses import MISSING
from pathlib import Path
from typing import Any

import pytest
from snakemake.cli import parse_args

from nervelab.build.profiles import read_profile

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "cluster.md"
SETTINGS = (
    "executor",
    "jobs",
    "retries",
    "keep_going",
    "keep_incomplete",
    "ignore_incomplete",
    "rerun_triggers",
    "latency_wait",
    "resources",
    "slurm_status_command",
    "slurm_requeue",
)
PROFILES = sorted(path.parent.name for path in (ROOT / "workflow" / "profiles").glob("*/config.yaml"))


def settings(*arguments: str) -> dict[str, str]:
    """The settings that count, as Snakemake understands its command line and its environment."""
    _, given = parse_args(list(arguments))
    return {name.replace("_", "-"): in_words(getattr(given, name, None)) for name in SETTINGS}


def in_words(value: Any) -> str:
    if value in (None, MISSING):
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, set | frozenset):
        return ", ".join(sorted(str(each) for each in value))
    if hasattr(value, "items"):
        return ", ".join(f"{name}={each}" for name, each in sorted(value.items()))
    return str(value)


@pytest.fixture(autouse=True)
def in_the_project(monkeypatch: pytest.MonkeyPatch):
    """The project's folder, with nothing said in the environment."""
    monkeypatch.chdir(ROOT)
    monkeypatch.delenv("SNAKEMAKE_PROFILE", raising=False)


def by_hand(profile: str, _: pytest.MonkeyPatch) -> dict[str, str]:
    """`snakemake --profile workflow/profiles/...`."""
    return settings("--profile", f"workflow/profiles/{profile}")


def by_variable(profile: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """`SNAKEMAKE_PROFILE=workflow/profiles/... dvc repro`, whose stages hand it on."""
    monkeypatch.setenv("SNAKEMAKE_PROFILE", f"workflow/profiles/{profile}")
    return settings()


def by_make(profile: str, _: pytest.MonkeyPatch) -> dict[str, str]:
    """`make PROFILE=...`."""
    said = subprocess.check_output(["make", "-n", f"PROFILE={profile}"], encoding="utf-8")
    named = re.search(r'nervelab\.cli build.*? --profile "(\S+)"', said)
    return settings(*read_profile(named.group(1)).options)


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("way", [by_variable, by_make], ids=lambda way: way.__name__)
def test_each_way_of_naming_a_profile_is_the_same(profile: str, way, monkeypatch: pytest.MonkeyPatch):
    assert way(profile, monkeypatch) == by_hand(profile, monkeypatch)


def test_the_page_shows_them():
    columns = {profile: settings("--profile", f"workflow/profiles/{profile}") for profile in PROFILES}
    rows = [("setting", *PROFILES), ("---",) * (len(PROFILES) + 1)]
    rows += [(name, *(columns[profile][name] for profile in PROFILES)) for name in columns[PROFILES[0]]]
    table = "".join(f"| {' | '.join(row)} |\n" for row in rows)
    assert table in PAGE.read_text(encoding="utf-8"), f"docs/cluster.md should have\n{table}"


@pytest.mark.parametrize("profile", PROFILES)
def test_no_profile_weakens_what_keeps_results_right(profile: str):
    found = settings("--profile", f"workflow/profiles/{profile}")
    assert (found["keep-incomplete"], found["ignore-incomplete"], found["rerun-triggers"]) == ("true", "true", "mtime")


def test_the_default_says_nothing_about_resources_that_another_could_not_change():
    kept = re.findall(r"^([\w-]+):", (ROOT / "workflow/profiles/default/config.yaml").read_text(), flags=re.MULTILINE)
    assert not {"executor", "jobs", "retries", "default-resources", "set-resources", "resources"} & set(kept)
