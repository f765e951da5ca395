import polars as pl
import pytest

from nervelab.analysis.analyse import FINDINGS_SCHEMA, analyse
from nervelab.analysis.findings.registry import FINDINGS
from nervelab.analysis.tables.registry import TABLES
from nervelab.words.labels import NOT_PROBED
from tests.support.synthetic_runs import LAPTOP, LAYERS, SEEDED


@pytest.fixture
def write(gather, settings, tmp_path):
    def _write(*runs, out="results"):
        if not (tmp_path / "aggregates").exists():
            gather(runs or LAPTOP)
        return analyse(tmp_path / "aggregates", tmp_path / out, settings)

    return _write


def test_every_registered_table_and_finding_is_written(write, tmp_path):
    written = write()
    assert {str(file.relative_to(tmp_path / "results")) for file in written} == {
        "findings.csv",
        "metrics.json",
        *(f"tables/{table.id}.csv" for table in TABLES),
    }
    findings = pl.read_csv(tmp_path / "results" / "findings.csv", infer_schema_length=None)
    assert findings["id"].unique(maintain_order=True).to_list() == [finding.id for finding in FINDINGS]


def test_what_the_paper_claims_is_supported_in_every_finding(whole):
    findings = pl.read_csv(whole / "findings.csv", schema=FINDINGS_SCHEMA).with_columns(
        pl.col("rival", "holds").fill_null("")
    )
    assert findings.columns == list(FINDINGS_SCHEMA)
    others = findings.filter(pl.col("id") != "pr-every-layer", pl.col("rival") == "")
    assert set(others["verdict"]) == {"supported"}
    assert set(others.filter(pl.col("claimed").is_not_null())["holds"]) == {"yes"}


def test_what_is_no_longer_made_is_dropped(write, tmp_path):
    once = write(out="results")
    left = tmp_path / "results" / "tables" / "table-99-renamed.csv"
    left.write_text("old\n")
    beside = tmp_path / "results" / "index.html"
    beside.write_text("rendered later")
    assert write(out="results") == once
    assert not left.exists()
    assert beside.exists()
    assert {path.name for path in left.parent.iterdir()} == {f"{table.id}.csv" for table in TABLES}


def test_writing_again_is_byte_identical(write):
    once, twice = write(out="once"), write(out="twice")
    assert [file.read_bytes() for file in once] == [file.read_bytes() for file in twice]


def test_effects_without_a_value_have_no_claim(whole):
    findings = pl.read_csv(whole / "findings.csv", schema=FINDINGS_SCHEMA).with_columns(
        pl.col("rival", "holds").fill_null("")
    )
    absent = findings.filter(pl.col("value").is_null())
    rivals = absent["rival"] != ""
    assert set(absent.filter(rivals)["state"]) <= {NOT_PROBED, "finished"}
    assert set(absent.filter(~rivals)["id"]) == {"sampling-fidelity"}  # a squared spectrum was not measured here
    assert absent.filter(~rivals)["claimed"].null_count() == absent.filter(~rivals).height == 4


def test_findings_say_in_columns_what_they_rest_on(write, tmp_path):
    write(*SEEDED)
    row = pl.read_csv(tmp_path / "results" / "findings.csv", infer_schema_length=None).row(0, named=True)
    known = {"scale": "laptop", "id": "reinjection-se", "section": "3.1", "verdict": "supported", "confidence": 0.95}
    known |= {"reason": "4 of 4 effects as claimed", "of": "PreLN GELU", "unit": "nats", "state": "finished"}
    claim = {"claimed": "above 0", "claimed_low": 0, "claimed_high": None, "holds": "yes"}
    assert (known | claim).items() <= row.items()
    assert row["runs"].split(";") == [run.name for run in SEEDED[:3]]
    by_layer, by_seed = (list(map(float, row[column].split(";"))) for column in ("by_layer", "by_seed"))
    assert (len(by_layer), len(by_seed)) == (LAYERS, 3)
    assert sum(by_layer) / LAYERS == pytest.approx(row["value"])
    assert sum(by_seed) / 3 == pytest.approx(row["value"])


def test_an_effect_of_which_nothing_is_claimed_has_no_range(whole):
    findings = pl.read_csv(whole / "findings.csv", schema=FINDINGS_SCHEMA).with_columns(
        pl.col("rival", "holds").fill_null("")
    )
    shown = findings.filter(pl.col("claimed").is_null(), pl.col("rival") == "")
    # shares of the gap, exponents (MixLN's, two of the long recipe), pre of two models, what differences of r are made
    # of (pre and post, SE and PR, two models), early ranking, squared spectra
    assert shown.height == 2 + 3 + 4 + 8 + 14 + 4
    assert shown.select("claimed_low", "claimed_high").null_count().row(0) == (shown.height,) * 2
    assert set(shown["holds"]) == {""}
    both = findings.filter(quantity="EEE_post after training, mean over layers").row(0, named=True)
    assert (both["claimed_low"], both["claimed_high"]) == (0.3, 0.5)


def test_every_table_names_its_scale(write, tmp_path):
    write()
    for table in TABLES:
        frame = pl.read_csv(tmp_path / "results" / "tables" / f"{table.id}.csv")
        assert set(frame["scale"]) == ({"laptop"} if len(frame) else set())
