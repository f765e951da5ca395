"""The one exception a user is meant to read, and its two commonest sentences."""

from pathlib import Path


class NervelabError(Exception):
    """Bad input or a damaged file, said in one sentence that names the file or key and the remedy.

    The command line prints the message without a traceback and exits with status 2; anything else that is raised
    is a defect of the program and keeps its traceback.
    """


def missing(path: Path, remedy: str) -> NervelabError:
    """What is raised where a file is not there."""
    return NervelabError(f"{path} is missing: {remedy}")


def damaged(path: Path, how: str, remedy: str) -> NervelabError:
    """What is raised where a file is not what was written; `how` says what is wrong with it."""
    return NervelabError(f"{path} is damaged ({how}): {remedy}")
