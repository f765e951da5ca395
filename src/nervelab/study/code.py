"""Which code is this: what Python imported, against what lies in the project's folder.

Identities are those of the imported package. Where the folder brings the package itself (a clone), that is the code its
user edits, and nothing may be made here by another one: of a second clone, or of what an environment once installed. A
folder with a params.yaml alone uses the installed package.
"""

from pathlib import Path

from nervelab import layout
from nervelab.errors import NervelabError
from nervelab.study.fingerprint import PACKAGE, ROOT

_SOURCE = Path("src")


def folders_own() -> Path | None:
    """The folder to import from that the project in the working folder brings, or None where it brings no code."""
    is_project = layout.PARAMS.exists() and (_SOURCE / PACKAGE / "__init__.py").is_file()
    return _SOURCE.resolve() if is_project else None


def is_folders_own() -> bool:
    """Whether the imported code is the folder's own, if it has any."""
    own = folders_own()
    return own is None or (own / PACKAGE).samefile(ROOT)


def refuse_other_code() -> None:
    """Refuse to go on by other code than the folder's own.

    Raises:
        NervelabError: names both.
    """
    if not is_folders_own():
        raise NervelabError(
            f"Python imported {ROOT}, but the code of this folder is {_SOURCE.resolve() / PACKAGE}: "
            "run `pip install -e .` here in an environment of this folder's own (`make` creates one), "
            "or put ./src first on PYTHONPATH."
        )
