"""What a process of the workflow keeps of the environment that it was started in."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from nervelab.build.environment import environment, refuse_ambient
from nervelab.errors import NervelabError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "src" / "nervelab").mkdir(parents=True)
    (tmp_path / "src" / "nervelab" / "__init__.py").touch()
    (tmp_path / "params.yaml").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    return tmp_path


@pytest.mark.parametrize(
    "name",
    [
        *("ATEN_CPU_CAPABILITY", "ONEDNN_DEFAULT_FPMATH_MODE", "MKL_CBWR", "NVIDIA_TF32_OVERRIDE", "OPENBLAS_CORETYPE"),
        *("TORCH_ALLOW_TF32_CUBLAS_OVERRIDE", "CUBLAS_WORKSPACE_CONFIG", "POLARS_ENGINE_AFFINITY", "MPLBACKEND"),
        *("PYTHONHASHSEED", "PYTHONWARNINGS", "PYTHONOPTIMIZE", "PYTHONINSPECT", "GIT_DIR", "GIT_INDEX_FILE"),
    ],
)
def test_what_would_change_a_number_is_taken_away(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str):
    monkeypatch.setenv(name, "1")
    assert name not in environment()


@pytest.mark.parametrize(
    "name", ["HOME", "TMPDIR", "CUDA_VISIBLE_DEVICES", "PYTORCH_CUDA_ALLOC_CONF", "PIP_INDEX_URL", "SNAKEMAKE_PROFILE"]
)
def test_what_says_where_things_are_stays(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str):
    monkeypatch.setenv(name, "here")
    assert environment()[name] == "here"


def test_sums_are_added_by_one_thread(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert environment()["OMP_NUM_THREADS"] == "1"


def test_the_folders_code_comes_first_and_no_other_copy_after_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
):
    other, library = tmp_path_factory.mktemp("other"), tmp_path_factory.mktemp("library")
    (other / "nervelab").mkdir()
    # An empty entry is the working folder: `export PYTHONPATH=$PYTHONPATH:/library` leaves one.
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["", str(other), ".", str(library), str(folder)]))
    assert environment()["PYTHONPATH"].split(os.pathsep) == [str(folder / "src"), str(library)]
    snapshot = folder / "plans" / "code" / "abc"
    assert environment(snapshot)["PYTHONPATH"].split(os.pathsep) == [str(snapshot), str(library)]


def test_where_the_folder_brings_no_code_the_import_path_stays(folder: Path, monkeypatch: pytest.MonkeyPatch):
    (folder / "params.yaml").unlink()
    (folder / "nervelab").mkdir()
    monkeypatch.setenv("PYTHONPATH", f"{os.pathsep}src")
    assert environment()["PYTHONPATH"] == "src"


def test_this_pythons_commands_come_first_and_once(folder: Path, monkeypatch: pytest.MonkeyPatch):
    mine = str(Path(sys.executable).parent)
    monkeypatch.setenv("PATH", os.pathsep.join(["/usr/bin", mine]))
    assert environment()["PATH"].split(os.pathsep) == [mine, "/usr/bin"]


@pytest.mark.parametrize("name", ["NERVELAB_SCALE", "NERVELAB_ONLY", "NERVELAB_DEVICE"])
def test_a_variable_of_this_programs_name_is_refused(monkeypatch: pytest.MonkeyPatch, name: str):
    monkeypatch.setenv(name, "smoke")
    with pytest.raises(NervelabError, match=rf"{name} is set in the environment.*unset it"):
        refuse_ambient()


PAGES = """
import resource, torch
def step():
    for _ in range(100):
        torch.ones(2**20)
step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the allocator is that of glibc")
def test_memory_that_is_freed_serves_again() -> None:
    """A hundred tensors of a thousand pages each, one after the other, fetch the pages of none."""
    pages = subprocess.run([sys.executable, "-c", PAGES], env=environment(), check=True, capture_output=True, text=True)
    assert int(pages.stdout) < 1000
