"""What params.yaml plans at every scale, as lines that a test compares with those on record.

After an intended change of what is planned: `python -m tests.study.planned_runs` writes planned_runs.txt again, and its
diff says for which runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nervelab.errors import NervelabError
from nervelab.files import digest
from nervelab.study.expand import expand
from nervelab.study.params import read_params
from nervelab.study.runs import load_project

ROOT = Path(__file__).resolve().parents[2]
RECORD = Path(__file__).with_suffix(".txt")


def planned(path: Path) -> Iterator[str]:
    """A line for each point of each study in the order of the file, and one for the runs that a build would make.

    A point is its scale, study and position, with digests of its RunConfig and of what tables show of it.
    """
    params = read_params(path)
    for scale in params.scales:
        for only in (None, *(name for name, study in params.studies.items() if study.on_request)):
            asked = f"{scale} {only or 'all'}"
            try:
                runs = load_project(path, scale, only).runs
            except NervelabError:
                yield f"{asked} cannot be resolved"
                continue
            points = [point for point in expand(params, scale, only) if only in (None, point.study)]
            for position, point in enumerate(points):
                shown = _short([point.dataset, list(point.values.items()), point.off_base, point.recipes])
                yield f"{asked} {point.study} {position} {_short(point.config.model_dump(mode='json'))} {shown}"
            listed = [[run.slug, run.studies, list(run.settings.items()), run.off_base, run.recipes] for run in runs]
            yield f"{asked} {len(runs)} runs {_short(listed)}"


def _short(content: Any) -> str:
    return digest(content)[:12]


if __name__ == "__main__":
    RECORD.write_text("".join(f"{line}\n" for line in planned(ROOT / "params.yaml")))
