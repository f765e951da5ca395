"""Several probes in one process: what is there stays, what failed takes no finished one with it."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from nervelab import runfiles
from nervelab.aggregates.verified import open_probe, verify_probe
from nervelab.errors import NervelabError
from nervelab.files import sha256, write_sealed
from nervelab.nulls import make
from nervelab.nulls.probe import as_bytes
from nervelab.probefiles import COLUMNS, PROBE_JSON, PROBES, TRAINED
from nervelab.stages import chain
from nervelab.stages.prune import unwanted
from nervelab.stages.targets import Targets
from nervelab.status.stages import probing
from nervelab.study.probing import Probe, probes
from nervelab.study.runs import Run
from tests.faults.registry import Fault, name

PARAMS = Path(__file__).resolve().parents[1] / "workflow" / "params.yaml"
ROW = {"activations": TRAINED, "draw": 0, "layer": 0, **dict.fromkeys(COLUMNS, 1.0)}


def train(run: Run, outcome: str = "finished") -> None:
    """A folder that is whole; what it holds is made up."""
    run.folder.mkdir(parents=True)
    for file in runfiles.RUN_FILES:
        (run.folder / file).write_text("{}\n" if file.endswith("json") else "contentPAR1", encoding="utf-8")
    files = {file: sha256(run.folder / file) for file in runfiles.RUN_RESULTS}
    sizes = {file: (run.folder / file).stat().st_size for file in runfiles.RUN_RESULTS}
    write_sealed(run.folder / runfiles.RUN_JSON, {"id": run.id, "outcome": outcome, "files": files, "bytes": sizes})


@pytest.fixture
def wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Probe]:
    """Four trained runs of which the last is stuck; how their weights are probed is made up."""
    monkeypatch.chdir(tmp_path)
    text = PARAMS.read_text(encoding="utf-8").replace("tiny", "gpt2-codeparrot")
    Path("params.yaml").write_text(text, encoding="utf-8")
    Path("texts").mkdir()
    Path("texts/text.py").write_text("a text", encoding="utf-8")
    found = probes(Targets.of().project)
    for number, probe in enumerate(found):
        train(probe.run, "stuck" if number == 3 else "finished")
    monkeypatch.setattr(make, "probed", lambda *_, **__: as_bytes([ROW]))
    return found


def rows(probe: Probe) -> int:
    return open_probe(probe.folder, id=probe.id, run=probe.run.id).height


def test_each_has_a_folder_that_says_what_it_is(wanted: list[Probe], capsys: pytest.CaptureFixture):
    make.make_probes(Targets.of())
    assert [rows(probe) for probe in wanted] == [1, 1, 1, 0]
    said = json.loads((wanted[3].folder / "probe.json").read_text(encoding="utf-8"))
    assert said["id"] == wanted[3].id
    assert (said["run"], said["run_name"]) == (wanted[3].run.id, wanted[3].run.name)
    assert (said["settings"], said["outcome"]) == ({"draws": 2, "seed": 0}, "stuck")
    assert said["bytes"]["probes.parquet"] == (wanted[3].folder / "probes.parquet").stat().st_size
    told = capsys.readouterr().err.splitlines()
    assert sorted(re.sub(r" \(.*", "", line) for line in told) == sorted(f"probed {each.run.name}" for each in wanted)
    assert told[-1].endswith("(4 of 4)")


def test_what_was_made_before_a_failure_stays_and_is_not_made_again(wanted, monkeypatch, capsys):
    calls = []

    def failing(plan: dict, *_: object, **__: object) -> bytes:
        calls.append(plan["name"])
        if len(calls) == 3:
            raise NervelabError("the disk is full.")
        return as_bytes([ROW])

    monkeypatch.setattr(make, "probed", failing)
    with pytest.raises(NervelabError, match="the disk is full"):
        make.make_probes(Targets.of(), threads=1)
    assert [probe.run.name for probe in wanted if chain.PROBE.is_there(probe.folder)][:2] == calls[:2]
    before = {probe.name: (probe.folder / "probe.json").stat().st_mtime_ns for probe in wanted[:2]}
    capsys.readouterr()
    make.make_probes(Targets.of())
    assert len(calls) == 4
    assert "are there and whole, and are not made again" in capsys.readouterr().err
    assert {probe.name: (probe.folder / "probe.json").stat().st_mtime_ns for probe in wanted[:2]} == before
    assert [rows(probe) for probe in wanted] == [1, 1, 1, 0]


def test_runs_that_are_not_trained_are_left_out_and_told(wanted: list[Probe], capsys: pytest.CaptureFixture):
    shutil.rmtree(wanted[0].run.folder)
    make.make_probes(Targets.of())
    assert "1 of 4 runs are not trained yet, and are left out" in capsys.readouterr().err
    assert [chain.PROBE.is_there(probe.folder) for probe in wanted] == [False, True, True, True]


def test_a_damaged_run_is_refused_by_name(wanted: list[Probe]):
    path = wanted[0].run.folder / runfiles.WEIGHTS
    path.write_text("CONTENTpar1", encoding="utf-8")
    with pytest.raises(NervelabError, match=rf"{path} is damaged"):
        make.make_probes(Targets.of(), [wanted[0].name])
    assert not wanted[0].folder.exists()


def test_a_probe_that_nothing_asks_for_any_more_is_refused(wanted: list[Probe]):
    with pytest.raises(NervelabError, match="no longer asks for the probe another-0123456789"):
        make.make_probes(Targets.of(), ["another-0123456789"])


def refused(act: Callable[[], object]) -> str:
    with pytest.raises(NervelabError) as caught:
        act()
    return str(caught.value)


def cut_short(wanted: list[Probe]) -> str:
    table = wanted[0].folder / PROBES
    table.write_bytes(table.read_bytes()[:-4])
    return refused(Targets.of)


def another_byte(wanted: list[Probe]) -> str:
    table = wanted[0].folder / PROBES
    table.write_bytes(table.read_bytes()[:-1] + b"x")
    Targets.of()  # which looks at sizes alone
    return refused(lambda: verify_probe(wanted[0].folder))


def record_changed(wanted: list[Probe]) -> str:
    record = wanted[0].folder / PROBE_JSON
    record.write_text(record.read_text(encoding="utf-8").replace("finished", "diverged"), encoding="utf-8")
    return refused(lambda: verify_probe(wanted[0].folder))


def exchanged(wanted: list[Probe]) -> str:
    shutil.copytree(wanted[1].folder, wanted[0].folder, dirs_exist_ok=True)
    return refused(Targets.of)


REST = "Everything else; the file itself stays where it is until it is deleted."
AGAIN = "delete it (or the folder) and run make again."
FAULTS = [
    Fault(what, "A damaged file", what, said, REST, act)
    for what, said, act in (
        (
            "the table of a probe is cut short",
            "probes/…/probes.parquet is damaged (… bytes instead of …): delete it and run make again.",
            cut_short,
        ),
        (
            "the table of a probe has another value in one byte",
            f"probes/…/probes.parquet is damaged (its sha256 is not the one in probe.json): {AGAIN}",
            another_byte,
        ),
        (
            "probe.json says something else",
            f"probes/…/probe.json is damaged (its content is not what was written): {AGAIN}",
            record_changed,
        ),
        (
            "the folder of a probe holds another one",
            "probes/…/probe.json belongs to probe …, not …: delete it and run make again.",
            exchanged,
        ),
    )
]


@pytest.mark.parametrize("fault", FAULTS, ids=name)
def test_a_damaged_probe_is_refused_by_name(wanted: list[Probe], fault: Fault):
    make.make_probes(Targets.of())
    assert fault.is_said_by(fault.act(wanted))


def test_where_torch_is_not_installed_a_build_does_without(wanted: list[Probe], monkeypatch: pytest.MonkeyPatch):
    with_torch = Targets.of()
    assert len(with_torch.probe_files) == 8
    assert with_torch.not_probed is None
    keys = {with_torch.stages["aggregate"].key}
    monkeypatch.setattr(chain, "find_spec", lambda _: None)
    without = Targets.of()
    assert without.probe_files == []
    assert without.not_probed.startswith(
        "4 of the runs are not probed, as torch is not installed here: `nervelab probe`"
    )
    assert without.stages["aggregate"].key not in keys
    assert with_torch.stages["index"].key == without.stages["index"].key


def test_once_the_probes_are_there_it_does_not_matter_who_reads_them(wanted: list[Probe], monkeypatch):
    make.make_probes(Targets.of())
    known = Targets.of()
    monkeypatch.setattr(chain, "find_spec", lambda _: None)
    reader = Targets.of()
    assert reader.not_probed is None
    assert reader.probe_files == known.probe_files
    assert reader.stages["aggregate"].key == known.stages["aggregate"].key


def test_the_status_says_how_many_are_missing(wanted: list[Probe]):
    (absent,) = probing(Targets.of())
    assert (absent.what, absent.name, absent.state) == ("probe", "probes/laptop", "absent")
    assert absent.why[0].startswith("4 of 4 are missing: ")
    make.make_probes(Targets.of(), [wanted[0].name])
    (incomplete,) = probing(Targets.of())
    assert (incomplete.state, incomplete.id) == ("incomplete", absent.id)
    assert incomplete.why[0].startswith("3 of 4 are missing: ")
    make.make_probes(Targets.of())
    (fresh,) = probing(Targets.of())
    assert (fresh.state, fresh.why) == ("fresh", ())


def test_prune_removes_probes_that_nothing_asks_for(wanted: list[Probe]):
    make.make_probes(Targets.of())
    other = wanted[0].folder.with_name(f"{wanted[0].run.name}-0123456789")
    shutil.copytree(wanted[0].folder, other)
    assert unwanted() == [other]
