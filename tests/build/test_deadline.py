"""How long a job has left: what it was given, or what the queue has left for it."""

from __future__ import annotations

import pytest

from nervelab.build.deadline import deadline, seconds_left


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("0:00", 0),
        ("0:59", 59),
        ("05:00", 300),
        ("1:02:03", 3723),
        ("23:59:59", 86399),
        ("2-00:00:01", 172801),
        ("365-12:00:00", 31579200),
        ("UNLIMITED", None),
        ("NOT_SET", None),
        ("INVALID", None),
        ("", None),
        ("-1:00", None),
        ("1-05", None),
    ],
)
def test_the_time_left_is_read_as_squeue_writes_it(said: str, seconds: int | None):
    assert seconds_left(said) == seconds


@pytest.mark.parametrize(
    ("minutes", "left", "end"),
    [
        (None, "5:00", None),
        (10.0, "5:00", 1300.0),
        (10.0, "15:00", 1600.0),
        (10.0, "UNLIMITED", 1600.0),
        (10.0, "", 1600.0),
        (10.0, None, 1600.0),
        (0.5, None, 1030.0),
    ],
)
def test_the_queue_counts_where_it_leaves_less(
    monkeypatch: pytest.MonkeyPatch, minutes: float | None, left: str | None, end: float | None
):
    monkeypatch.setenv("SLURM_JOB_ID", "42")
    asked = []

    def told(*words: str) -> str | None:
        asked.append(words)
        return left

    assert deadline(minutes, 1000.0, told) == end
    assert set(asked) <= {("42", "%L")}


def test_outside_of_a_job_no_queue_is_asked(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    assert deadline(10, 1000.0, lambda *_: pytest.fail("it was")) == 1600.0
