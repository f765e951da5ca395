"""`make` makes its environment again wherever that does not work, and says what it does: shown with a stand-in for pip.

The stand-in for Python makes environments without pip's gigabytes; all else it hands on to the real one.
"""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# As `-m venv` does: pyvenv.cfg and a python first, then pip, where ensurepip is there. Installing is writing a line.
STAND_IN = """\
    #!{python}
    import os, pathlib, sys
    words = sys.argv[1:]
    here = pathlib.Path({folder!r})
    if words[:2] == ["-m", "venv"]:
        venv = pathlib.Path(words[2])
        (venv / "bin").mkdir(parents=True)
        command = f"{{sys.argv[0]}} -m venv {{venv.absolute()}}"
        (venv / "pyvenv.cfg").write_text(f"home = x\\nversion = {version}.1\\ncommand = {{command}}\\n")
        (venv / "bin" / "python").symlink_to(sys.argv[0])
        if (here / "no-ensurepip").exists():
            sys.exit("ensurepip is not available")
        (venv / "pip").touch()
    elif words[:3] == ["-P", "-m", "pip"]:
        if not pathlib.Path(".venv/pip").exists() or (here / "no-network").exists():
            sys.exit("No module named pip, or no network")
        if words[3] == "install":
            with (here / "installed").open("a") as file:
                print(*words[6:], file=file)
    elif words[:3] == ["-P", "-m", "nervelab.cli"]:
        print("built", *words[3:])
    else:
        os.execv({python!r}, [{python!r}, *words])
"""
STUDY = ["--require-hashes -r requirements.lock", "--no-deps --editable ."]
PLUGINS = "--require-hashes --no-deps -r requirements-cluster.lock"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder, with a space and an umlaut in its name, that holds what `make` reads and a stand-in for Python."""
    folder = tmp_path / "a stüdy"
    (folder / "workflow").mkdir(parents=True)
    locks = [f"requirements{part}.lock" for part in ("", "-cluster", "-dev")]
    for name in ("Makefile", *locks, "pyproject.toml", "workflow/environment.py"):
        shutil.copy(ROOT / name, folder / name)
    version = "{}.{}".format(*sys.version_info[:2])
    python = tmp_path / "stand in" / "python"
    python.parent.mkdir()
    text = textwrap.dedent(STAND_IN).format(python=sys.executable, folder=str(python.parent), version=version)
    python.write_text(text, encoding="utf-8")
    python.chmod(0o755)
    return folder


def make(folder: Path, *words: str, fails: bool = False) -> str:
    python = folder.parent / "stand in" / "python"
    answer = subprocess.run(
        ["make", "-s", f"PYTHON={python}", *words],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        check=False,
    )
    assert (answer.returncode != 0) is fails, answer.stdout
    return answer.stdout


def installed(folder: Path) -> list[str]:
    """What was installed since this was asked last."""
    log = folder.parent / "stand in" / "installed"
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    log.unlink(missing_ok=True)
    return lines


def test_the_environment_is_made_once(folder: Path):
    assert make(folder, "SCALE=smoke").endswith("built build --scale smoke\n")
    assert installed(folder) == STUDY
    assert make(folder) == "built build\n"
    assert installed(folder) == []
    (folder / "requirements.lock").write_text("another==1\n", encoding="utf-8")
    make(folder)
    assert installed(folder) == STUDY
    make(folder, "environment-dev")
    assert installed(folder) == ["--require-hashes -r requirements-dev.lock"]


def test_a_profile_adds_its_plugins_once(folder: Path):
    assert make(folder, "PROFILE=slurm").endswith("built build --profile slurm\n")
    assert installed(folder) == [*STUDY, PLUGINS]
    make(folder, "PROFILE=a folder/of mine")
    make(folder, "PROFILE=default")
    make(folder)
    assert installed(folder) == []
    (folder / "requirements-cluster.lock").write_text("another==1\n", encoding="utf-8")
    make(folder, "PROFILE=default")
    assert installed(folder) == []
    make(folder, "PROFILE=slurm")
    assert installed(folder) == [PLUGINS]


def test_an_environment_that_failed_at_ensurepip_is_made_again(folder: Path):
    switch = folder.parent / "stand in" / "no-ensurepip"
    switch.touch()
    for _ in range(2):
        said = make(folder, fails=True)
        assert "ensurepip is not available\nerror: " in said
        assert "could not make .venv, as it says above: mend that and run make again." in said
    switch.unlink()
    assert ".venv does not work" in make(folder)
    assert installed(folder) == STUDY


def test_an_installation_that_failed_goes_on(folder: Path):
    switch = folder.parent / "stand in" / "no-network"
    make(folder)
    (folder / "pyproject.toml").write_text("changed\n", encoding="utf-8")
    switch.touch()
    assert "error: pip could not install it" in make(folder, fails=True)
    switch.unlink()
    installed(folder)
    make(folder)
    assert installed(folder) == STUDY


def test_in_a_folder_that_was_moved_it_is_made_again(folder: Path):
    make(folder)
    installed(folder)
    moved = folder.rename(folder.with_name("moved"))
    assert "making it again" in make(moved)
    assert installed(moved) == STUDY
    copied = Path(shutil.copytree(moved, moved.with_name("copied"), symlinks=True))
    assert "making it again" in make(copied)
    assert make(moved) == "built build\n"


@pytest.mark.parametrize("how", ["gone", "upgraded"])
def test_under_a_python_that_is_not_there_any_more_it_is_made_again(folder: Path, how: str):
    make(folder)
    installed(folder)
    if how == "gone":
        (folder / ".venv" / "bin" / "python").unlink()
        (folder / ".venv" / "bin" / "python").symlink_to(folder / "python3.10")
    else:
        config = folder / ".venv" / "pyvenv.cfg"
        config.write_text(config.read_text(encoding="utf-8").replace("version = 3", "version = 2"), encoding="utf-8")
    assert "making it again" in make(folder)
    assert installed(folder) == STUDY


@pytest.mark.parametrize(("file", "text"), [("notes.txt", "mine"), ("pyvenv.cfg", "home = x\nuv = 0.9.1\n")])
def test_what_make_did_not_make_is_not_removed(folder: Path, file: str, text: str):
    path = folder / ".venv" / file
    path.parent.mkdir()
    path.write_text(text, encoding="utf-8")
    assert "error: .venv does not work, and make did not make it: move it away" in make(folder, fails=True)
    assert path.read_text(encoding="utf-8") == text


def test_of_two_at_once_the_second_waits_and_says_so(folder: Path):
    python = folder.parent / "stand in" / "python"
    with (folder / ".venv.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with subprocess.Popen(
            ["make", "-s", f"PYTHON={python}"], cwd=folder, stdout=subprocess.PIPE, encoding="utf-8"
        ) as second:
            assert second.stdout.readline() == "another make is installing into .venv; waiting for it to end\n"
            fcntl.flock(lock, fcntl.LOCK_UN)
            assert second.stdout.read().endswith("built build\n")
    assert installed(folder) == STUDY
