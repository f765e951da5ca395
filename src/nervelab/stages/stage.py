"""What a stage of the workflow is: of two kinds, by how it is known what is fresh."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nervelab.stages.targets import Targets
    from nervelab.study.runs import Project


@dataclass(frozen=True)
class Folders:
    """A stage that fills a folder for each thing that is wanted; its id is in the path, so presence is freshness.

    Attributes:
        target: the target of the workflow that makes them all.
        doing: what a build does while one of them is missing.
        files: what a folder holds once it is whole.
        wanted: the folders that a project asks for.
        verify: compares a folder with what it says of itself; raises NervelabError.
        made_here: whether this installation can make one; if not, the build does without those that are not there.
    """

    target: str
    doing: str
    files: tuple[str, ...]
    wanted: Callable[[Project], Iterable[Path]]
    verify: Callable[[Path], object]
    made_here: Callable[[], bool] = lambda: True

    def expected(self, project: Project) -> list[Path]:
        """The wanted folders that a build here ends with: all, or those that are there if none can be made."""
        made_here = self.made_here()
        return [folder for folder in self.wanted(project) if made_here or self.is_there(folder)]

    def paths(self, project: Project) -> list[str]:
        """Every file of every expected folder."""
        return [str(folder / file) for folder in self.expected(project) for file in self.files]

    def is_there(self, folder: Path) -> bool:
        """Whether a folder holds all of its files."""
        return all((folder / file).exists() for file in self.files)

    def is_made(self, project: Project) -> bool:
        """Whether every expected folder is there."""
        return all(self.is_there(folder) for folder in self.expected(project))


@dataclass(frozen=True)
class Made:
    """What a rendering stage read, and what it wrote."""

    read: Iterable[Path]
    written: Iterable[Path]


@dataclass(frozen=True)
class Rendering:
    """A stage that writes files of fixed names, for which a stamp vouches; each depends on the one before it.

    Attributes:
        name: of the stage, its verb and its rule.
        target: the target of the workflow that makes it; None where that is the target of another stage.
        says: what it does, a sentence.
        entries: the modules whose code, with all that they import, determines its files.
        make: makes its files.
        needs: the stage of folders that it gathers beside those of the stage before it; None if there is none.
        determinants: what else determines them, by name.
        writes_in: the folder that it writes in, by default that of the results.
        stamps: the folder of its stamps, by default one in the results.
    """

    name: str
    target: str | None
    says: str
    entries: tuple[str, ...]
    make: Callable[[Targets], Made]
    needs: Folders | None = None
    determinants: Callable[[Targets], dict[str, Any]] = lambda _: {}
    writes_in: Callable[[Targets], Path] = lambda targets: targets.results
    stamps: Callable[[Targets], Path] = lambda targets: targets.results / "stamps"
