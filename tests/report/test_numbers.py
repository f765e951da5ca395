import pytest

from nervelab.analysis.tables.table import Column, cell
from nervelab.words import numbers as shown


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (shown.number(-0.0512, 2), "−0.05"),
        (shown.number(0.5, 1, signed=True), "+0.5"),
        (shown.number(None, 3), "–"),
        (shown.number(float("nan"), 3), "–"),
        (shown.number(float("inf"), 3), "–"),
        (shown.number(-1.5e30, 3), "−1.50e+30"),
        (shown.significant(float("-inf")), "–"),
        (shown.significant(0.049558), "0.0496"),
        (shown.significant(-12.04, signed=True), "−12.0"),
        (shown.significant(123.4), "123"),
        (shown.percent(-0.052, signed=True), "−5\u202f%"),
        (shown.percent(None), "–"),
        (shown.between(-1.0, 2.0, signed=True), "[−1.00, +2.00]"),
        (shown.between(-1.0, 2.0), "[−1.00, 2.00]"),
        (shown.between(None, 2.0), "–"),
        (shown.whole(237000), "237\u202f000"),
        (shown.in_markdown("a|b"), r"a\|b"),
    ],
)
def test_numbers_read_well(text, expected):
    assert text == expected


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"r": None, "r_low": None, "r_high": None}, "–"),
        ({"r": 0.5, "r_low": None, "r_high": None}, "+0.50"),
        ({"r": 0.5, "r_low": -0.1, "r_high": 0.9}, "+0.50 [−0.10, +0.90]"),
    ],
)
def test_a_cell_shows_its_interval_where_there_is_one(row, expected):
    assert cell(row, Column("r", "r", digits=2, interval=True, signed=True)) == expected


def test_negative_numbers_in_words_have_a_true_minus_and_hyphens_stay():
    said = shown.with_minus("by width: -0.97, -1 (-0.5); norm-free, layers 1-2, 3d-4d")
    assert said == "by width: −0.97, −1 (−0.5); norm-free, layers 1-2, 3d-4d"
