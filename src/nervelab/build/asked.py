"""What a build was asked for, on its way from `nervelab build` to the Snakemake that it starts.

It travels in a variable, because a `--config` would replace the `config` of a profile. The variable names the build,
which holds the folder's lock while its Snakemake lives: one that is left over in a shell names a build that is no more.
"""

from __future__ import annotations

import json
import os

from nervelab.build.environment import BUILD
from nervelab.build.locks import owner
from nervelab.errors import NervelabError
from nervelab.study.options import Options


def handed_on(scale: str | None, only: str | None) -> dict[str, str]:
    """The variable that tells Snakemake what this process, which holds the folder's lock, was asked for."""
    return {BUILD: json.dumps({"build": os.getpid(), "scale": scale, "only": only})}


def asked(options: Options, *, in_job: bool = False) -> dict[str, str | None]:
    """The scale and the study that this Snakemake is asked for, by the build that started it, or by its own `--config`.

    One that works `in_job` of another Snakemake was asked by that one's build, which may have been killed since.

    Raises:
        NervelabError: the variable is left over from another build, or the two disagree.
    """
    configured = {"scale": options.scale, "only": options.only}
    if BUILD not in os.environ:
        return configured
    try:
        build = json.loads(os.environ[BUILD])
        wanted = {key: build[key] for key in configured}
        alive = in_job or str(build["build"]) == owner()
    except (ValueError, KeyError, TypeError):
        alive = False
    if not alive:
        raise NervelabError(f"the variable {BUILD} is left over in the environment from another build: unset it.")
    for key, value in configured.items():
        if value is not None and value != wanted[key]:
            raise NervelabError(
                f"--config (or a profile) says {key}={value}, but this build was asked for "
                f"{wanted[key] or 'what params.yaml says'}: name it as `nervelab build --{key} {value}`."
            )
    return wanted
