"""The profile that a build is made by: which of the workflow's, or which of the user's own."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path

import yaml

from nervelab.errors import NervelabError

PROFILES = Path("workflow/profiles")
VARIABLE = "SNAKEMAKE_PROFILE"
CONFIG = "config.yaml"
# The extras of pyproject.toml, by the executor whose plugin they bring.
_EXTRAS = ("slurm", "cluster-generic")


LOCAL = ("local", "dryrun", "touch")


@dataclass(frozen=True)
class Profile:
    """A profile as a build uses it: Snakemake's options for it, and the executor that it names."""

    options: tuple[str, ...] = ()
    executor: str = "local"

    @property
    def submits(self) -> bool:
        """Whether its jobs are run by a cluster, and not below Snakemake."""
        return self.executor not in LOCAL


def read_profile(named: str | None) -> Profile:
    """The profile of this name, of a folder in workflow/profiles or a path.

    Without a name that of Snakemake's own variable, which it reads itself, if there is one.

    Raises:
        NervelabError: there is no such profile, or the plugin that it submits jobs by is not installed.
    """
    if named is None:
        ambient = Path(os.environ.get(VARIABLE, ""))
        return Profile(executor=_executor(ambient)) if (ambient / CONFIG).is_file() else Profile()
    # By a name alone the workflow's own is meant, also where a folder of this name lies here.
    places = (Path(named),) if os.sep in named else (PROFILES / named, Path(named))
    folder = next((each for each in places if (each / CONFIG).is_file()), None)
    if folder is None:
        known = ", ".join(sorted(path.parent.name for path in PROFILES.glob(f"*/{CONFIG}")))
        raise NervelabError(
            f"there is no profile {named!r}: name one of {known}, which lie in {PROFILES}, "
            f"or the path of a folder that holds a {CONFIG}."
        )
    return Profile(("--profile", f".{os.sep}{folder}" if len(folder.parts) == 1 else str(folder)), _executor(folder))


def _executor(folder: Path) -> str:
    """The executor that a profile names, whose plugin is there."""
    try:
        settings = yaml.safe_load((folder / CONFIG).read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise NervelabError(f"{folder / CONFIG} is not YAML: mend it, or name another profile.") from error
    executor = str(settings.get("executor", "local")) if isinstance(settings, dict) else "local"
    plugin = f"snakemake-executor-plugin-{executor}"
    if executor in LOCAL or importlib.util.find_spec(plugin.replace("-", "_")):
        return executor
    how = f"pip install -e '.[{executor}]'" if executor in _EXTRAS else f"pip install {plugin}"
    also = f", or run make PROFILE={folder}" if executor in _EXTRAS else ""
    raise NervelabError(f"the profile {folder} submits jobs by {plugin}, which is not installed: {how}{also}.")
