"""Why a job ended, as one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from nervelab.cluster.endings import Ending, ending, saved_steps

RUN = "decoder-preln-gelu-4d-adamw-s0-0123456789"
TABLE = "of the size of its model in workflow/execution.yaml."
OOM = "slurmstepd: error: Detected 1 oom-kill event(s) in StepId=21.0. Some of your processes may have been killed.\n"
LIMIT = "slurmstepd: error: *** JOB 43 ON n CANCELLED AT 2026-01-01T00:00:00 DUE TO TIME LIMIT ***\n"
PREEMPTED = "slurmstepd: error: *** JOB 43 ON n CANCELLED AT 2026-01-01T00:00:00 DUE TO PREEMPTION ***\n"
CANCELLED = "slurmstepd: error: *** JOB 43 ON n CANCELLED AT 2026-01-01T00:00:00 ***\n"


@pytest.fixture
def ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Tells how a job of two runs ended, given its state, Slurm's log and what the two trainings said."""
    monkeypatch.chdir(tmp_path)

    def told(state: str, slurm: str = "", *said: str) -> Ending:
        Path("slurm.log").write_text(slurm)
        Path("logs/laptop").mkdir(parents=True, exist_ok=True)
        runs = [f"laptop/{RUN}", "laptop/another-0000000000"][: max(1, len(said))]
        for run, line in zip(runs, said, strict=False):
            Path(f"logs/{run}.log").write_text(f"some warning\n{line}\n")
        return ending(runs, job="43", state=state, log=Path("slurm.log"), asked=(300, 10))

    return told


@pytest.mark.parametrize(
    ("state", "slurm", "sentence"),
    [
        ("FAILED", OOM, f"job 43 ran out of memory at 300 MB: raise memory_mb {TABLE}"),
        ("OUT_OF_MEMORY", "", f"job 43 ran out of memory at 300 MB: raise memory_mb {TABLE}"),
        ("FAILED", LIMIT, f"job 43 met its time limit of 10 minutes: raise minutes {TABLE}"),
        ("TIMEOUT", "", f"job 43 met its time limit of 10 minutes: raise minutes {TABLE}"),
        ("CANCELLED", CANCELLED, "job 43 was cancelled: the same command goes on from the checkpoint."),
        ("PREEMPTED", PREEMPTED, "job 43 was preempted: the same command goes on from the checkpoint."),
        ("NODE_FAIL", "", "job 43 lost its node: the same command goes on from the checkpoint."),
        ("FAILED", "", "job 43 ended as FAILED, and the training said nothing: its log may say more."),
    ],
)
def test_the_state_and_the_log_of_slurm_say_why(ended, state: str, slurm: str, sentence: str):
    assert ended(state, slurm).sentence() == f"{RUN}: {sentence}"


def test_a_trainings_own_error_says_why_and_is_a_fault(ended):
    found = ended("FAILED", "", "error: data/tokens/x holds the data y, not z: run make again.")
    assert found.sentence() == f"{RUN}: data/tokens/x holds the data y, not z: run make again (job 43)."
    assert not found.only_stopped
    assert found.refused


def test_of_several_runs_the_one_that_failed_comes_first_and_those_that_are_there_are_not_counted(ended):
    found = ended("FAILED", "", "finished", "error: it broke.")
    assert found.sentence() == "another-0000000000 (and 1 more): it broke (job 43)."
    run_json = Path(f"runs/laptop/{RUN}/run.json")
    run_json.parent.mkdir(parents=True)
    run_json.write_text("{}")
    assert ended("FAILED", "", "finished", "error: it broke.").sentence() == "another-0000000000: it broke (job 43)."


@pytest.mark.parametrize("state", ["TIMEOUT", "DEADLINE", "PREEMPTED", "NODE_FAIL"])
def test_what_only_stops_a_training_is_no_fault(ended, state: str):
    assert ended(state).only_stopped


@pytest.mark.parametrize(
    "said",
    [
        "stopped by SIGTERM; the same command goes on from the checkpoint",
        "stopped before its job's time limit; the same command goes on from the checkpoint",
    ],
)
def test_a_training_that_saved_and_stopped_has_no_fault(ended, said: str):
    assert ended("FAILED", "", said).only_stopped


@pytest.mark.parametrize("state", ["FAILED", "OUT_OF_MEMORY", "CANCELLED"])
def test_whatever_else_ends_it_costs_an_attempt(ended, state: str):
    assert not ended(state).only_stopped


def test_what_is_saved_counts_and_what_was_only_told_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    for name, note in (("a", '{"step": 9, "saved": 4}'), ("b", '{"step": 7}')):
        Path(f".checkpoints/{name}").mkdir(parents=True)
        Path(f".checkpoints/{name}/progress.json").write_text(note)
    Path("runs/laptop/c").mkdir(parents=True)
    Path("runs/laptop/c/run.json").write_text("{}")
    runs = [f"laptop/{name}" for name in "abcd"]
    assert saved_steps(runs, dict.fromkeys(runs, 20)) == 4 + 0 + 20 + 0
