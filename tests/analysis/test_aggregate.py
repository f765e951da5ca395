import json
import math

import polars as pl
import pytest

from nervelab.aggregates.collect import aggregate
from nervelab.errors import NervelabError
from nervelab.files import read_json, sha256, write_json, write_sealed
from nervelab.probefiles import COLUMNS
from tests.support.synthetic_runs import LAPTOP, LAYERS, STEPS, Planted, config, write_study


def test_a_row_for_each_run_in_the_order_listed(gather):
    runs = gather().runs
    assert runs["name"].to_list() == [run.name for run in LAPTOP]
    assert runs["activation"].to_list() == [run.activation for run in LAPTOP]
    assert runs["perplexity"].to_list() == [math.exp(run.eval_loss) for run in LAPTOP]
    assert set(runs["steps"]) == {1000}


def test_spectra_of_all_runs(gather):
    spectra = gather().spectra
    assert spectra.height == len(LAPTOP) * len(STEPS) * LAYERS
    assert spectra.columns[0] == "name"


def test_a_diverged_run_has_no_perplexity(gather):
    runs = gather([Planted(outcome="diverged")]).runs
    assert runs.select("outcome", "eval_loss", "perplexity").row(0) == ("diverged", None, None)


def test_a_setting_that_only_some_runs_have_is_null_elsewhere(tmp_path):
    runs_json, runs_root = write_study(tmp_path, LAPTOP[:2])
    listing = read_json(runs_json, "")
    listing["runs"][1]["settings"]["optimiser.rank"] = 0.5
    write_json(runs_json, listing)
    aggregate(runs_json, runs_root, tmp_path / "out")
    assert pl.read_parquet(tmp_path / "out" / "runs.parquet")["optimiser_rank"].to_list() == [None, 0.5]


def test_what_differs_from_the_base_is_named_by_column(gather):
    runs = gather([Planted(), Planted(off_base=(("model.heads", 8), ("training.steps", 500)))]).runs
    assert runs["off_base"].to_list() == [[], ["heads", "training_steps"]]
    assert runs["training_steps"].to_list() == [None, 500]


def test_the_scale_and_the_whole_config_are_kept(gather):
    runs = gather(LAPTOP[:1], scale="smoke").runs
    assert set(runs["scale"]) == {"smoke"}
    assert json.loads(runs["config"][0]) == config(LAPTOP[0])


def test_equal_runs_give_equal_bytes(tmp_path):
    runs_json, runs_root = write_study(tmp_path)
    once, twice = (aggregate(runs_json, runs_root, tmp_path / out) for out in ("once", "twice"))
    assert [file.name for file in once] == [
        "runs.parquet",
        "spectra.parquet",
        "history.parquet",
        "timing.parquet",
        "estimators.parquet",
        "probes.parquet",
    ]
    assert [file.read_bytes() for file in once] == [file.read_bytes() for file in twice]


@pytest.mark.parametrize("file", ["spectra.parquet", "history.parquet"])
def test_a_truncated_file_is_refused_by_name(tmp_path, file):
    runs_json, runs_root = write_study(tmp_path, LAPTOP[:2])
    damaged = runs_root / "laptop" / LAPTOP[1].name / file
    damaged.write_bytes(damaged.read_bytes()[:-20])
    with pytest.raises(NervelabError, match=r"damaged.*delete it \(or the folder\)") as refusal:
        aggregate(runs_json, runs_root, tmp_path / "out")
    assert str(damaged) in str(refusal.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("file", ["run.json", "spectra.parquet", "timing.parquet"])
def test_a_missing_file_is_refused_by_name(tmp_path, file):
    runs_json, runs_root = write_study(tmp_path, LAPTOP[:1])
    missing = runs_root / "laptop" / LAPTOP[0].name / file
    missing.unlink()
    with pytest.raises(NervelabError, match="is missing: delete it") as refusal:
        aggregate(runs_json, runs_root, tmp_path / "out")
    assert str(missing) in str(refusal.value)


def test_another_runs_folder_is_refused(tmp_path):
    runs_json, runs_root = write_study(tmp_path, LAPTOP[:1])
    path = runs_root / "laptop" / LAPTOP[0].name / "run.json"
    write_json(path, read_json(path, "") | {"id": "0000000000"})
    with pytest.raises(NervelabError, match="belongs to run 0000000000"):
        aggregate(runs_json, runs_root, tmp_path / "out")


def test_an_unreadable_timing_table_is_refused_by_name(tmp_path):
    runs_json, runs_root = write_study(tmp_path, LAPTOP[:1])
    (runs_root / "laptop" / LAPTOP[0].name / "timing.parquet").write_bytes(b"nothing")
    with pytest.raises(NervelabError, match=r"timing\.parquet is damaged \(not Parquet\)"):
        aggregate(runs_json, runs_root, tmp_path / "out")


def test_no_runs_is_refused(tmp_path):
    runs_json, runs_root = write_study(tmp_path, ())
    with pytest.raises(NervelabError, match="lists no runs"):
        aggregate(runs_json, runs_root, tmp_path / "out")


def write_probe(root, of, *, columns=COLUMNS, **recorded):
    """A probe of a run of two layers, and its id in runs.json; the file of its rows."""
    listing = read_json(root / "results" / "runs.json", "")
    for listed in listing["runs"]:
        listed["probe"] = listed.get("probe") or ("abcdefabcd" if listed["name"] == of.name else None)
    write_json(root / "results" / "runs.json", listing)
    path = root / "probes" / "laptop" / f"{of.name}-abcdefabcd" / "probes.parquet"
    path.parent.mkdir(parents=True)
    keys = {"activations": ["trained"] * 2, "draw": [0, 0], "layer": [0, 1]}
    pl.DataFrame(keys | {name: [1.0, 2.0] for name in columns}).write_parquet(path)
    content = {"id": "abcdefabcd", "run": of.id, "files": {"probes.parquet": sha256(path)}, "bytes": {}}
    write_sealed(path.with_name("probe.json"), content | recorded)
    return path


def probed(root):
    aggregate(root / "results" / "runs.json", root / "runs", root / "out", root / "probes")
    return pl.read_parquet(root / "out" / "probes.parquet")


def test_probes_that_were_made_are_gathered(tmp_path):
    write_study(tmp_path, LAPTOP[:2])
    empty = probed(tmp_path)
    assert empty.columns == ["name", "activations", "draw", "layer", *COLUMNS]
    assert empty.height == 0
    path = write_probe(tmp_path, LAPTOP[1])
    assert probed(tmp_path)["name"].to_list() == [LAPTOP[1].name] * 2
    assert probed(tmp_path).schema == empty.schema
    path.with_name("probe.json").unlink()  # of one that was killed the table alone may be there
    assert probed(tmp_path).height == 0


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"id": "0123456789"}, r"probe\.json belongs to probe 0123456789, not abcdefabcd: delete it"),
        ({"run": "0123456789"}, r"probe\.json belongs to the run 0123456789, not "),
        ({"files": {}}, r"probe\.json is damaged \(it does not vouch for probes\.parquet\)"),
        (
            {"files": {"probes.parquet": "0" * 64}},
            r"probes\.parquet is damaged \(its sha256 is not the one in probe\.json",
        ),
        ({"columns": COLUMNS[1:]}, r"probes\.parquet is damaged \(its columns are others\)"),
    ],
)
def test_a_probe_of_something_else_or_damaged_is_refused_by_name(tmp_path, changes, said):
    write_study(tmp_path, LAPTOP[:2])
    write_probe(tmp_path, LAPTOP[0], **changes)
    with pytest.raises(NervelabError, match=said):
        probed(tmp_path)
