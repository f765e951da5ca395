"""docs/faults.md says what the tests walk, and each of its rows is walked."""

from __future__ import annotations

from collections import Counter

from tests.faults.document import PAGE, page
from tests.faults.registry import faults, modules


def test_the_page_is_what_the_tests_say():
    assert PAGE.read_text(encoding="utf-8") == page(), "run `python -m tests.faults.document`"


def test_each_row_has_its_test():
    for module in modules():
        walked = [
            parameter
            for test in vars(module).values()
            for mark in getattr(test, "pytestmark", ())
            if mark.name == "parametrize"
            for parameter in mark.args[1]
        ]
        assert not [fault.id for fault in module.FAULTS if fault not in walked], module.__name__


def test_no_two_rows_have_one_name():
    assert [each for each, times in Counter((fault.group, fault.id) for fault in faults()).items() if times > 1] == []
