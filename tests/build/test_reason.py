"""The one sentence that a failed build ends with."""

from __future__ import annotations

import pytest

from nervelab.build.reasons import reason

FAILED = """\
Error in rule analyse:
    message: None
    log: logs/analyse.log (check log file(s) for error details)
Logfile logs/analyse.log:
================================================================================
Traceback (most recent call last):
  File "/somewhere/nervelab", line 8, in <module>
    sys.exit(main())
{raised}
================================================================================

CalledProcessError in file "/somewhere/workflow/rules/analysis.smk", line 67:
Command 'set -euo pipefail; nervelab analyse' returned non-zero exit status 1.
"""


@pytest.mark.parametrize(
    "raised",
    [
        "OverflowError: math range error",
        "polars.exceptions.ColumnNotFoundError: eval_loss",
        "AssertionError",
        "KeyboardInterrupt",
    ],
)
def test_what_a_job_raised_is_said(raised: str):
    assert reason(FAILED.format(raised=raised)).startswith(f"the workflow failed ({raised}): logs/snakemake.log")


def test_a_jobs_own_sentence_comes_first():
    said = FAILED.format(raised="error: runs/laptop/one/run.json is damaged (not JSON): delete it and run make again.")
    assert reason(said) == "runs/laptop/one/run.json is damaged (not JSON): delete it and run make again."


def test_a_word_that_only_begins_like_an_exception_is_no_reason():
    assert "no reason given" in reason("Errors were expected\nExceptional\n")
