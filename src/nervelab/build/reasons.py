"""The one sentence that a failed build ends with."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

LOG = Path("logs/snakemake.log")
_ENDING = "message: error: "  # as Snakemake prints what nervelab.cluster.executors says of a job
_HINT = "For further error details see"


def reason(said: str) -> str:
    """The one sentence of the job that failed, or the end of its traceback, from what Snakemake printed of its log."""
    lines = [line.strip() for line in said.splitlines()]
    on_cluster = [line.removeprefix(_ENDING) for line in lines if line.startswith(_ENDING)]
    if on_cluster:
        return on_cluster[0].partition(_HINT)[0]
    for mark in ("error: ", "stopped by "):
        own = [line.removeprefix("error: ") for line in lines if line.startswith(mark)]
        if own:
            return own[0]
    raised = [line for line in _failed_logs(lines) or lines if re.match(r"[\w.]*(Error|Exception|Interrupt)\b", line)]
    return f"the workflow failed ({raised[-1] if raised else 'no reason given'}): {LOG} has the whole story."


def _failed_logs(lines: list[str]) -> list[str]:
    """The lines of the jobs' own logs, which Snakemake prints between rulers after `Logfile`."""
    inside, kept = False, []
    for before, line in itertools.pairwise(lines):
        if line.startswith("====="):
            inside = not inside if inside or before.startswith("Logfile ") else inside
        elif inside:
            kept.append(line)
    return kept
