"""Core-minutes of the study as it was trained here: `python -m benchmarks.study_time`, after a build.

From the start of each training to its last file, as Snakemake timed it (logs/SCALE/RUN.tsv); with as many side by side
as there are cores, minutes of one core with the others busy. A training that several studies ask for counts once, with
the first of them.
"""

import csv
import json
import sys
from pathlib import Path

from nervelab import layout


def seconds(log: Path) -> float:
    """What the job of one training took, its repetitions together, in seconds."""
    with log.open(encoding="utf-8") as file:
        return sum(float(row["s"]) for row in csv.DictReader(file, delimiter="\t"))


def main(runs_json: Path) -> None:
    """Print a row for each study, in the order of runs.json, and name the trainings that left no log."""
    index = json.loads(runs_json.read_text(encoding="utf-8"))
    by_study: dict[str, list[float]] = {}
    unknown = []
    for run in index["runs"]:
        log = Path("logs") / index["scale"] / f"{run['name']}.tsv"
        times = by_study.setdefault(run["studies"][0], [])
        if log.exists():
            times.append(seconds(log) / 60)
        else:
            unknown.append(run["name"])
    lines = ["| study | trainings | core-minutes |", "|---|---|---|"]
    lines += [f"| {study} | {len(times)} | {sum(times):.1f} |" for study, times in by_study.items()]
    every = [minutes for times in by_study.values() for minutes in times]
    lines.append(f"| **all** | **{len(every)}** | **{sum(every):.1f}** |")
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    if unknown:
        sys.stderr.write(f"left out, as no log says what they took: {', '.join(unknown)}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else layout.RESULTS / "runs.json")
