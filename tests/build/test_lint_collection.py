"""The linter of `make lint` for tests whose names, or whose order, depend on what they must not depend on."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

LINT = runpy.run_path(str(Path(__file__).parents[2] / "workflow" / "lint_collection.py"))

PLANTED = """
import datetime, gzip, locale, os, pathlib, time
import pytest

HERE = pathlib.Path(__file__).parent


@pytest.mark.parametrize("value", [1, "é", b"\\xff", {1: 2}, len, lambda: 0])
def test_nothing(value): ...


@pytest.mark.parametrize("value", [gzip.compress(b"")])
def test_clock_in_bytes(value): ...


@pytest.mark.parametrize("value", [f"{datetime.date.today()}"])
def test_day(value): ...


@pytest.mark.parametrize("value", [f"{datetime.datetime.now():%Y}"])
def test_year(value): ...


@pytest.mark.parametrize("value", [time.strftime("%H", time.localtime(0))])
def test_time_zone(value): ...


@pytest.mark.parametrize("value", [locale.getpreferredencoding(False)])
def test_locale(value): ...


@pytest.mark.parametrize("value", {"one", "two", "three", "four", "five"})
def test_order_of_a_set(value): ...


@pytest.mark.parametrize("value", [path.name for path in HERE.glob("*.txt")])
def test_order_of_a_glob(value): ...


@pytest.mark.parametrize("value", [name for name in os.listdir(HERE) if name.endswith(".txt")])
def test_order_of_a_directory(value): ...


@pytest.mark.parametrize("value", [f"{object()}"])
def test_address(value): ...


@pytest.mark.slow
@pytest.mark.parametrize("value", [str(os.getpid())])
def test_process_of_another_marker(value): ...
"""


@pytest.fixture(autouse=True)
def quick_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted tests need none of the plugins that are installed."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")


def test_whatever_a_name_may_not_depend_on_is_seen(tmp_path: Path):
    (tmp_path / "test_planted.py").write_text(PLANTED, encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = slow\naddopts = -m 'not slow'\n", encoding="utf-8")
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).touch()
    here, there = LINT["collected"](tmp_path)
    kinds = list(dict.fromkeys(name.split("::")[1].split("[")[0] for name in here))
    seen = {kind: [[name for name in each if f"::{kind}[" in name] for each in (here, there)] for kind in kinds}
    assert [kind for kind, (one, other) in seen.items() if one == other] == ["test_nothing"]
    assert len(kinds) == PLANTED.count("def test_")
    assert "test_clock_in_bytes" in LINT["first_difference"](here, there)


def test_a_collection_that_fails_is_no_agreement(tmp_path: Path):
    (tmp_path / "test_broken.py").write_text("import nowhere_to_be_found\n", encoding="utf-8")
    with pytest.raises(RuntimeError, match=r"(?s)nowhere_to_be_found.*cannot be collected"):
        LINT["collected"](tmp_path)


@pytest.mark.parametrize(
    ("here", "there", "said"),
    [
        (["a", "b"], ["a", "b"], None),
        (["a", "b1"], ["a", "b2"], "test 2 of the collection is b1 here and b2 there: mend"),
        (["a"], ["a", "b"], "test 2 of the collection is missing here and b there: mend"),
        (["a", "b", "c"], ["a", "c", "b"], "test 2 of the collection is b here and c there: the order differs"),
    ],
    ids=["same", "another name", "one more", "another order"],
)
def test_the_first_difference_is_named(here: list[str], there: list[str], said: str | None):
    found = LINT["first_difference"](here, there)
    assert found is None if said is None else found.startswith(said)
