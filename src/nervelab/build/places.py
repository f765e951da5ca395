"""Where the tools of a build keep what is theirs: refused beforehand, as each of them fails in its own words."""

import os
import tempfile
from pathlib import Path

from nervelab.errors import NervelabError

# What takes the place of folders below HOME, if both are named.
_INSTEAD = ("XDG_CACHE_HOME", "XDG_CONFIG_HOME")


def refuse_unusable_places() -> None:
    """Refuse a HOME, or a folder for temporary files, in which nothing can be written.

    Raises:
        NervelabError: names it, and the variable that names another.
    """
    home = Path(os.environ.get("HOME") or "/")
    instead = [Path(os.environ[name]) for name in _INSTEAD if os.environ.get(name)]
    if not _usable(home) and not (len(instead) == len(_INSTEAD) and all(map(_usable, instead))):
        raise NervelabError(
            f"HOME is {home}, where nothing can be written, and Snakemake and DVC keep their caches there: "
            "set HOME to a folder of yours, then run the same command again."
        )
    try:
        tempfile.gettempdir()
    except FileNotFoundError as error:
        raise NervelabError(
            "no folder for temporary files can be written to: name one in TMPDIR, then run the same command again."
        ) from error


def _usable(folder: Path) -> bool:
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)
