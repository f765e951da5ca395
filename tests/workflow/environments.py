"""Environments of their own for the workflow tests: where they lie, and whose code they hold."""

from __future__ import annotations

import sysconfig
import venv
from pathlib import Path

COMMANDS = {"nervelab": "nervelab.cli", "dvc": "dvc.cli", "snakemake": "snakemake.cli"}


def environment_at(folder: Path, source: Path) -> Path:
    """Create an environment with this one's packages and an editable install of `source`; returns its commands' folder.

    The commands begin as pip's do where a path cannot stand in a first line.
    """
    venv.create(folder, symlinks=True)
    bin = folder / "bin"
    (packages,) = (folder / "lib").glob("python*/site-packages")
    (packages / "these.pth").write_text(f"{source}\n{sysconfig.get_path('purelib')}\n", encoding="utf-8")
    for command, module in COMMANDS.items():
        script = bin / command
        script.write_text(
            f"#!/bin/sh\n'''exec' \"{bin}/python\" \"$0\" \"$@\"\n' '''\n"
            f"import sys\nfrom {module} import main\nsys.exit(main())\n",
            encoding="utf-8",
        )
        script.chmod(0o755)
    return bin
