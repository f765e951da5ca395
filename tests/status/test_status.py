"""What `nervelab status` says, on a study of four runs whose files are written down instead of trained."""

from __future__ import annotations

import fcntl
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from nervelab import layout, runfiles
from nervelab.cluster.queue import Job
from nervelab.datafiles import CORPUS_FILES, MANIFEST, TOKENS_FILES
from nervelab.errors import NervelabError
from nervelab.files import write_json
from nervelab.leases import Holder
from nervelab.stages.chain import RENDERINGS, REPORT
from nervelab.stages.stamps import write_stamp
from nervelab.stages.targets import Targets
from nervelab.status.runs import Kept, Standing, standing
from nervelab.status.status import WIDTH, Status, as_json, as_text, duration, in_words
from nervelab.study.runs import Run, load_project

PARAMS = Path(__file__).resolve().parents[1] / "workflow" / "params.yaml"
TABLE = Path("results/tables/settings.csv")
# Files of a run that nobody reads here, but that end as their formats do.
CONTENT = {".parquet": "contentPAR1", ".json": "{}\n", ".safetensors": "content"}


def write_run(run: Run, outcome: str = "finished", **others: object) -> None:
    for file in runfiles.RUN_FILES:
        (run.folder / file).parent.mkdir(parents=True, exist_ok=True)
        (run.folder / file).write_text(CONTENT[Path(file).suffix], encoding="utf-8")
    config = run.config.model_dump(mode="json")
    sizes = {file: len(CONTENT[Path(file).suffix]) for file in runfiles.RUN_RESULTS}
    recorded = {
        "id": run.id,
        "config": config,
        "fingerprint": run.fingerprint,
        "inputs": run.inputs,
        "parameters": 1234,
    }
    recorded |= {"outcome": outcome, "stopped_at": 20, "bytes": sizes}
    write_json(run.folder / runfiles.RUN_JSON, recorded | others)


def write_data() -> None:
    project = load_project()
    for wanted in (*project.corpora.values(), *project.tokens.values()):
        for file in CORPUS_FILES if wanted.kind == "corpus" else TOKENS_FILES:
            wanted.folder.mkdir(parents=True, exist_ok=True)
            (wanted.folder / file).write_text("content", encoding="utf-8")
        key, record = ("dataset", wanted.dataset) if wanted.kind == "corpus" else ("tokenizer", wanted.tokenizer)
        write_json(wanted.folder / MANIFEST, {key: record.model_dump(mode="json"), "corpus": wanted.corpus.id})


def render() -> None:
    """The files and the stamps of every rendering stage, a file or two each."""
    targets = Targets.of()
    gathered, page = targets.aggregates / "runs.parquet", targets.results / "index.html"
    listing = targets.results / "runs.json"
    for path in (gathered, page, listing, TABLE):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("content", encoding="utf-8")
    files = {
        "index": (targets.run_jsons, [listing]),
        "aggregate": (targets.run_jsons, [gathered]),
        "analyse": ([gathered], [TABLE]),
        "report": ([gathered, TABLE, listing], [page]),
    }
    for stage, (read, written) in files.items():
        stamp = targets.stages[stage]
        write_stamp(stamp.to_make(), read=read, written=written, made_of=stamp.made_of)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Run]:
    """A folder with the small params.yaml and nothing made; its runs."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(PARAMS, "params.yaml")
    Path("texts").mkdir()
    Path("texts/text.py").write_text("a text", encoding="utf-8")
    return list(load_project().runs)


@pytest.fixture
def whole(here: list[Run]) -> list[Run]:
    """All of it made; its runs."""
    write_data()
    for run in here:
        write_run(run)
    render()
    return here


@contextmanager
def training(run: Run) -> Iterator[None]:
    """Its lock held by a living process, which this test is not: a file opened anew is another holder."""
    folder = layout.CHECKPOINTS / run.name
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def edit(old: str, new: str) -> None:
    text = Path("params.yaml").read_text(encoding="utf-8")
    assert text.count(old) == 1
    Path("params.yaml").write_text(text.replace(old, new), encoding="utf-8")


def told() -> dict:
    return json.loads(as_json(Status.of(None, None)))


def state_of(run: Run) -> dict:
    row = next(row for row in told()["runs"] if row["run"] == run.name)
    return {key: row[key] for key in ("state", "step", "seconds_left", "said", "kept")}


def why(stage: str) -> tuple[str, list[str]]:
    made = {each["what"]: each for each in (*told()["data"], *told()["stages"])}
    return made[stage]["state"], made[stage]["why"]


def test_all_that_is_made_is_fresh_and_the_dag_agrees(whole: list[Run]):
    status = Status.of(None, None)
    assert {each.state for each in status.made} == {"fresh"}
    assert status.counts == {"finished": 4}
    assert all(Path(path).exists() for path in Targets.of().stamps.values())
    lines = as_text(status).splitlines()
    assert lines[0] == "laptop: 4 of 4 runs done, results fresh"
    assert lines[-1] == "activation: 4 runs, 4 finished"
    assert "decoder-" not in as_text(status)
    assert as_text(status, every=True).count("finished    decoder-") == 4


def test_nothing_made_is_absent_and_changes_nothing(here: list[Run]):
    before = sorted(Path().rglob("*"))
    status = Status.of(None, None)
    assert status.counts == {"absent": 4}
    assert as_text(status).splitlines()[0] == "laptop: 0 of 4 runs done, 4 absent, results not there yet"
    assert sorted(Path().rglob("*")) == before


def test_every_state_of_a_run(here: list[Run]):
    stuck, running, failed, stopped = here
    write_run(stuck, "stuck")
    write_json(layout.CHECKPOINTS / running.name / "progress.json", {"step": 5, "steps": 20, "seconds_left": 12.3})
    write_json(layout.CHECKPOINTS / stopped.name / "progress.json", {"step": 7, "steps": 20, "seconds_left": 9.0})
    (layout.CHECKPOINTS / stopped.name / "state.pt").touch()
    (layout.CHECKPOINTS / stopped.name / "lock").touch()  # its holder died
    log = Path("logs/laptop") / f"{failed.name}.log"
    log.parent.mkdir(parents=True)
    log.write_text(
        "error: an older sentence.\nerror: data/tokens/x holds the data y: run make again.\n", encoding="utf-8"
    )
    with training(running):
        assert state_of(stuck) == {"state": "stuck", "step": 20, "seconds_left": None, "said": "at step 20", "kept": []}
        assert state_of(running)["state"] == "running"
        assert (state_of(running)["step"], state_of(running)["seconds_left"]) == (5, 12.3)
        assert state_of(failed)["state"] == "failed"
        assert state_of(failed)["said"] == "data/tokens/x holds the data y: run make again."
        assert state_of(stopped)["state"] == "stopped"
        assert (state_of(stopped)["step"], state_of(stopped)["seconds_left"]) == (7, None)
        text = as_text(Status.of(None, None))
    assert f"  running     {running.name}  step 5 of 20, 12 s left\n" in text
    assert "at step 7 of 20: the next training goes on from its checkpoint" in text
    assert state_of(running)["state"] == "stopped"
    assert state_of(running)["said"] == "the next training starts again"


def test_a_run_that_failed_and_was_trained_since_is_done(here: list[Run]):
    log = Path("logs/laptop") / f"{here[0].name}.log"
    log.parent.mkdir(parents=True)
    log.write_text("error: the disk is full.\n", encoding="utf-8")
    write_run(here[0])
    assert state_of(here[0])["state"] == "finished"


def test_a_defect_is_told_by_its_last_line_and_a_stop_is_no_failure(here: list[Run]):
    log = Path("logs/laptop") / f"{here[0].name}.log"
    log.parent.mkdir(parents=True)
    log.write_text("Traceback (most recent call last):\n  ...\nValueError: no such thing\n", encoding="utf-8")
    assert state_of(here[0])["said"] == f"ValueError: no such thing ({log} has the whole story)"
    log.write_text("stopped by SIGTERM; the same command goes on from the checkpoint\n", encoding="utf-8")
    assert state_of(here[0])["state"] == "absent"


def test_a_run_that_lacks_a_file_or_has_a_short_one_is_named(here: list[Run]):
    for run in here[:3]:
        write_run(run)
    (here[0].folder / runfiles.HISTORY).unlink()
    (here[1].folder / runfiles.SPECTRA).write_text("cont", encoding="utf-8")
    (here[2].folder / runfiles.RUN_JSON).write_text('{"config"', encoding="utf-8")
    assert state_of(here[0])["state"] == "incomplete"
    assert state_of(here[0])["said"] == "lacks history.parquet"
    assert [state_of(run)["state"] for run in here[1:3]] == ["damaged", "damaged"]
    assert "4 bytes instead of 11" in state_of(here[1])["said"]
    assert "run.json is damaged (not JSON)" in state_of(here[2])["said"]


def test_the_folder_of_another_run_under_a_wanted_name_is_not_taken_for_it(here: list[Run]):
    for run in here[:2]:
        write_run(run)
    shutil.rmtree(here[0].folder)
    shutil.copytree(here[1].folder, here[0].folder)
    said = f"{here[0].folder}/run.json belongs to run {here[1].id}, not {here[0].id}"
    assert state_of(here[0])["state"] == "damaged"
    assert said in state_of(here[0])["said"]
    with pytest.raises(NervelabError, match=re.escape(said)):
        Targets.of()


@pytest.mark.parametrize(
    ("other", "changed"),
    [
        ({"fingerprint": "f" * 64}, "the code"),
        ({"inputs": {"tokens": "0" * 10}}, "its data"),
        ({"fingerprint": "f" * 64, "inputs": {"tokens": "0" * 10}}, "the code and its data"),
    ],
)
def test_a_kept_run_of_the_same_settings_makes_a_wanted_one_stale(here: list[Run], other: dict, changed: str):
    write_run(here[0], **other)
    kept = here[0].folder.rename(here[0].folder.with_name("decoder-kept-0123456789"))
    state = state_of(here[0])
    assert (state["state"], state["kept"]) == ("stale", [kept.name])
    assert state["said"] == f"{changed} changed since: `nervelab adopt` can keep it"
    assert told()["unwanted"]["files"] == 1
    assert [state_of(run)["state"] for run in here[1:]] == ["absent"] * 3


def test_what_a_live_build_will_train_is_queued(here: list[Run]):
    layout.PLANS.mkdir()
    layout.plan_path(here[0].name).touch()
    assert state_of(here[0])["state"] == "absent"
    with Path(".nervelab.lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert told()["building"] is True
        assert [state_of(run)["state"] for run in here] == ["queued", "absent", "absent", "absent"]


def test_a_rendered_file_that_was_deleted_or_changed_is_named(whole: list[Run]):
    TABLE.unlink()
    assert why("aggregate") == ("fresh", [])
    assert why("analyse") == ("stale", [f"{TABLE} was deleted"])
    assert why("report") == ("stale", ["analyse comes before it"])
    TABLE.write_text("by hand", encoding="utf-8")
    assert why("analyse") == ("stale", [f"{TABLE} was changed"])


def test_an_edit_of_the_analysis_is_told_by_key_and_value(whole: list[Run]):
    edit("window_start: 0.15", "window_start: 0.3")
    assert why("aggregate") == ("fresh", [])
    assert why("analyse") == ("stale", ["the settings of analysis changed: window_start 0.15 -> 0.3"])
    assert not Path(Targets.of().stamps["analyse"]).exists()


def test_runs_asked_for_anew_and_no_longer_are_named(whole: list[Run]):
    edit("[gelu, relu]", "[gelu, swiglu]")
    gone, missing = sorted(run.name for run in whole if "relu" in run.name), []
    missing = [run.name for run in load_project().runs if "swiglu" in run.name]
    state, said = why("index")
    assert (state, said[0]) == ("stale", f"runs are missing: {', '.join(missing)}")
    assert said[1] == (
        f"2 runs are asked for anew ({', '.join(sorted(missing))}), 2 are no longer asked for ({', '.join(gone)})"
    )
    assert told()["unwanted"]["files"] == 2


def test_other_code_of_a_stage_is_told(whole: list[Run], monkeypatch: pytest.MonkeyPatch):
    report = replace(REPORT, entries=("nervelab.report.report",))
    monkeypatch.setattr("nervelab.stages.targets.RENDERINGS", (*RENDERINGS[:-1], report))
    assert why("analyse") == ("fresh", [])
    assert why("report") == ("stale", ["the code of report changed"])


def test_a_stage_tells_the_sentence_that_its_last_job_ended_with(whole: list[Run]):
    Path("logs").mkdir()
    Path("logs/analyse.log").write_text(
        "error: results/tables could not be written: free some space.\n", encoding="utf-8"
    )
    stages = {each["what"]: each for each in told()["stages"]}
    assert stages["analyse"]["failed"] is None  # it is fresh: the log is of another scale, or older
    TABLE.unlink()
    stages = {each["what"]: each for each in told()["stages"]}
    assert stages["analyse"]["failed"] == "results/tables could not be written: free some space."


def test_data_are_told_by_what_changed(whole: list[Run]):
    Path("texts/text.py").write_text("another text", encoding="utf-8")
    assert why("corpus") == ("stale", ["the code that makes it, or a local file, changed"])
    assert why("tokens") == ("stale", ["its corpus changed"])
    project = load_project()
    (corpus,) = project.corpora.values()
    write_data()
    assert why("corpus") == ("fresh", [])
    (corpus.folder / CORPUS_FILES[0]).unlink()
    assert why("corpus") == ("incomplete", [f"lacks {CORPUS_FILES[0]}"])


def test_the_table_fits_the_terminal(here: list[Run]):
    log = Path("logs/laptop") / f"{here[0].name}.log"
    log.parent.mkdir(parents=True)
    log.write_text(f"error: {'a word and ' * 30}the end.\n", encoding="utf-8")
    assert all(len(line) <= WIDTH for line in as_text(Status.of(None, None)).splitlines())


def test_the_keys_of_the_json_are_these(whole: list[Run]):
    content = told()
    assert list(content) == ["scale", "study", "building", "counts", "runs", "data", "stages", "unwanted"]
    row = content["runs"][0]
    assert list(row)[:3] == ["study", "run", "id"]
    told_last = ["parameters", "weights", "steps", "state", "step", "seconds_left", "said", "kept", "job", "node"]
    assert list(row)[-len(told_last) :] == told_last
    assert row["model.activation"] == "gelu"
    assert row["parameters"] == 1234
    assert {key for each in (*content["data"], *content["stages"]) for key in each} == {
        *("what", "name", "id", "state", "why", "failed")
    }


def test_torch_is_imported_only_to_count_parameters(whole: list[Run]):
    code = (
        "import sys; from nervelab.status.status import Status, as_json, as_text; status = Status.of(None, None);"
        "as_text(status); as_json(status); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(("seconds", "words"), [(0.4, "0 s"), (89, "89 s"), (91, "2 min"), (5400, "1.5 h")])
def test_durations_are_in_the_unit_that_matters(seconds: float, words: str):
    assert duration(seconds) == words


def on_cluster(run: Run, *, state: str, job: str = "12", holder: str | None = None) -> Standing:
    """How a run stands whose job is in the queue, and whose lease a machine named elsewhere holds for a job."""
    folder = layout.CHECKPOINTS / run.name
    folder.mkdir(parents=True)
    (folder / "progress.json").write_text('{"step": 7, "seconds_left": 30.0}', encoding="utf-8")
    if holder is not None:
        mine = Holder(host="elsewhere", boot="", pid=1, job=holder, restart=0, nonce="n", beat=3, at=0.0)
        (folder / "lease.json").write_bytes(mine.record())
    queue = [Job(job, state, "elsewhere", "Priority", f"rule_train_together_wildcards_laptop_{run.id}+0000000000_0")]
    return standing(run, Kept(), building=False, queue=queue)


def test_a_job_at_work_is_told_with_its_node(here: list[Run]):
    found = on_cluster(here[0], state="RUNNING", holder="12")
    assert (found.state, found.step, found.seconds_left, found.job, found.node) == (
        "running",
        7,
        30.0,
        "12",
        "elsewhere",
    )
    assert in_words(found) == "step 7 of 20, 30 s left, on elsewhere, job 12"


def test_a_job_that_waits_is_told_by_its_number(here: list[Run]):
    found = on_cluster(here[0], state="PENDING")
    assert (found.state, found.job, found.said) == ("queued", "12", "job 12 waits in the queue (Priority)")


def test_a_job_that_has_others_to_train_first_is_no_training_yet(here: list[Run]):
    found = on_cluster(here[0], state="RUNNING")
    assert (found.state, found.said) == ("queued", "job 12 has others to train first, or starts")


def test_the_lease_of_a_job_that_is_no_more_is_no_training(here: list[Run]):
    assert on_cluster(here[0], state="RUNNING", holder="11").state == "queued"
    assert on_cluster(here[1], state="PENDING", holder="12").state == "queued"


def test_a_lease_whose_job_the_queue_does_not_have_is_no_training_however_fresh(here: list[Run]):
    folder = layout.CHECKPOINTS / here[0].name
    folder.mkdir(parents=True)
    mine = Holder(host="elsewhere", boot="", pid=1, job="12", restart=0, nonce="n").renewed()
    (folder / "lease.json").write_bytes(mine.record())
    assert standing(here[0], Kept(), building=False, queue=[]).state == "absent"
    assert standing(here[0], Kept(), building=False, queue=None).state == "running"
