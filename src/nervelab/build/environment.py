"""The environment of the workflow's processes: the folder's own code, and no setting of the user's that counts.

What is made depends on params.yaml, the data and the code. A variable that makes Python or a library compute, draw or
decode something else is taken away; what says where things are (PATH, HOME, caches, devices, proxies) stays.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from nervelab.errors import NervelabError
from nervelab.study.code import folders_own, is_folders_own, refuse_other_code
from nervelab.study.fingerprint import PACKAGE

BUILD = "NERVELAB_BUILD"
"""What `nervelab build` tells the Snakemake that it starts: see `nervelab.build.asked`."""

# Beginnings of names. Kernels and precision:
_COUNTING = ("ATEN_", "CUBLAS", "CUDNN_", "DNNL_", "MKL_", "NPY_", "NVIDIA_TF32_", "ONEDNN_", "OPENBLAS_")
_COUNTING += ("PYTORCH_TUNABLEOP_", "TORCH_ALLOW_TF32", "TORCH_BLAS_", "TORCH_CUDNN_", "TORCH_LINALG_")
# Engines and back ends of what is rendered:
_COUNTING += ("MPLBACKEND", "POLARS_ENGINE", "POLARS_FMT_", "POLARS_STREAMING", "POLARS_FORCE", "POLARS_VERBOSE")
# Python's own ways to fail or to wait where it would not:
_COUNTING += ("PYTHONHASHSEED", "PYTHONINSPECT", "PYTHONIOENCODING", "PYTHONOPTIMIZE", "PYTHONWARNINGS")
# What a git hook leaves for its children, by which they would ask another repository for the commit:
_COUNTING += ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY", "GIT_NAMESPACE")

_AGAIN = ["-P", "-X", "utf8", "-m", "nervelab.cli"]
# Sums over several threads are added in another order. A training sets its own number.
_ONE_THREAD = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
# The C library keeps what a training step frees for the next one, blocks of up to 32 MiB and 256 MiB in all. Without, a
# small model's step fetches a thousand pages anew, which takes a fourteenth to a seventh of its time. Both are needed.
_ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": str(2**25), "MALLOC_TRIM_THRESHOLD_": str(2**28)}


def environment(code: Path | None = None) -> dict[str, str]:
    """The environment for a process of the workflow.

    This Python's own commands come first on PATH. On PYTHONPATH comes `code`, by default the folder's own, and no other
    copy of the package; the working folder, where a file called random.py would be taken for Python's, never.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_COUNTING)}
    code = code or folders_own()
    imports = [each for each in os.environ.get("PYTHONPATH", "").split(os.pathsep) if not _is_here(each)]
    if code is not None:
        imports = [str(code), *(each for each in imports if not (Path(each) / PACKAGE).is_dir())]
    commands = [str(Path(sys.executable).parent), *os.environ.get("PATH", os.defpath).split(os.pathsep)]
    return {
        **kept,
        **dict.fromkeys(_ONE_THREAD, "1"),
        **_ALLOCATOR,
        "PATH": os.pathsep.join(dict.fromkeys(commands)),
        "PYTHONPATH": os.pathsep.join(imports),
        "PYTHONSAFEPATH": "1",
        "PYTHONUTF8": "1",
    }


def take_on() -> None:
    """Give this process, and so all that it starts, that environment, before a library has read another.

    Raises:
        NervelabError: a variable of the shell would decide what is made.
    """
    refuse_ambient()
    wanted = environment()
    for name in os.environ.keys() - wanted.keys():
        del os.environ[name]
    os.environ.update(wanted)


def restart_if_needed() -> None:
    """Start this command line again where Python began with other code than the folder's, or without UTF-8.

    Call it after `take_on`, before anything is read or made.

    Raises:
        NervelabError: it began so although it was told otherwise.
    """
    as_wanted = is_folders_own() and sys.getfilesystemencoding() == "utf-8"
    if not as_wanted and sys.orig_argv[1 : len(_AGAIN) + 1] != _AGAIN:
        os.execve(sys.executable, [sys.executable, *_AGAIN, *sys.argv[1:]], os.environ)
    refuse_other_code()


def refuse_ambient() -> None:
    """Refuse a variable of this program's name: what is asked for is said where one can see it.

    Raises:
        NervelabError: names the variable.
    """
    for name in sorted(os.environ):
        if name.startswith("NERVELAB_") and name != BUILD:
            raise NervelabError(
                f"the variable {name} is set in the environment, where nothing may decide what is made: unset it, and "
                "name a scale or a study on the command line (`nervelab build --scale smoke --only activation`, or "
                "`snakemake --config scale=smoke only=activation`)."
            )


def _is_here(entry: str) -> bool:
    """Whether an entry of PYTHONPATH is the working folder, as an empty one is."""
    return Path(entry).resolve() == Path.cwd()
