"""`from:`: what a part of the configuration takes over, and from where."""

from __future__ import annotations

from typing import Any

import pytest

from nervelab.study.derive import Derivation

RATES = {"adamw": {"name": "adamw", "lr": 1.0, "betas": [0.9, 0.95]}}
BASE = {"dataset": "texts", "model": {"family": "decoder", "width": 4}, "optimisers": RATES}


def bases(scales: dict[str, Any] | None = None, **named: Any) -> dict[str, Any]:
    """The bases, resolved, of which `a` is a whole one at two scales."""
    whole = {"a": {"laptop": BASE, "paper": BASE | {"dataset": "more"}}}
    return Derivation({"scales": scales or {}, "bases": whole | named}, str).content["bases"]


def test_mappings_are_merged_and_all_else_replaced():
    derived = bases(b={"laptop": {"from": "a.laptop", "optimisers": {"adamw": {"betas": [0.5]}}}})["b"]["laptop"]
    assert derived == BASE | {"optimisers": {"adamw": {"name": "adamw", "lr": 1.0, "betas": [0.5]}}}


def test_null_takes_a_value_away():
    assert bases(b={"laptop": {"from": "a.laptop", "model": {"width": None}}})["b"]["laptop"]["model"]["width"] is None


def test_a_chain_is_followed_and_the_nearest_wins():
    found = bases(
        b={"laptop": {"from": "a.laptop", "model": {"width": 5}, "dataset": "b"}},
        c={"laptop": {"from": "b.laptop", "model": {"width": 6}}, "paper": {"from": "laptop", "dataset": "c"}},
    )
    assert found["c"]["paper"] == BASE | {"model": {"family": "decoder", "width": 6}, "dataset": "c"}


@pytest.mark.parametrize("name", ["paper", "b.paper", "bases.b.paper"])
def test_a_name_is_looked_for_from_the_inside_out(name: str):
    assert bases(b={"laptop": {"from": name}, "paper": {"from": "a.paper"}})["b"]["laptop"]["dataset"] == "more"


def test_names_may_hold_dots():
    named = {"a-1.3": {"laptop": BASE}, "b": {"laptop": {"from": "a-1.3.laptop.model"}}}
    named["b"]["laptop"] = {"from": "a-1.3.laptop", "model": {"from": "a-1.3.laptop.model", "width": 9}}
    assert bases(**named)["b"]["laptop"]["model"] == {"family": "decoder", "width": 9}


def test_a_from_inside_starts_from_that_and_from_nothing_else():
    two = {"adamw": RATES["adamw"], "sgd": {"name": "sgd", "lr": 3.0}}
    found = bases(
        b={
            "laptop": BASE | {"optimisers": two},
            "paper": {"from": "laptop", "optimisers": {"from": "a.laptop.optimisers"}},
        }
    )
    assert found["b"]["paper"]["optimisers"] == RATES


def test_what_is_inherited_stays_with_what_it_was_derived_from():
    muon = {"name": "muon", "rest": {"from": "adamw", "lr": 5.0}}
    found = bases(
        b={
            "laptop": BASE | {"optimisers": RATES | {"muon": muon}},
            "paper": {"from": "laptop", "optimisers": {"adamw": {"betas": [0.1]}}},
        }
    )
    assert found["b"]["laptop"]["optimisers"]["muon"]["rest"] == RATES["adamw"] | {"lr": 5.0}
    assert found["b"]["paper"]["optimisers"]["muon"]["rest"] == RATES["adamw"] | {"lr": 5.0}


def test_another_kind_replaces():
    found = bases(
        b={"laptop": {"from": "a.laptop", "model": {"depth": 2}}},
        c={"laptop": {"from": "b.laptop", "model": {"family": "mixer", "patch": 8}}},
    )
    assert found["b"]["laptop"]["model"] == {"family": "decoder", "width": 4, "depth": 2}
    assert found["c"]["laptop"]["model"] == {"family": "mixer", "patch": 8}


def test_what_a_scale_changes_lies_between_a_base_and_what_it_derives_from():
    scales = {"smoke": {"changes": {"model": {"width": 1}, "dataset": "few"}}}
    found = bases(
        scales,
        b={"smoke": {"from": "a.laptop"}},
        c={"smoke": {"from": "a.laptop", "model": {"width": 2}}},
        d={"smoke": {"from": "c.smoke"}},  # changed already
    )
    assert {name: found[name]["smoke"]["model"]["width"] for name in "bcd"} == {"b": 1, "c": 2, "d": 2}
    assert {found[name]["smoke"]["dataset"] for name in "bcd"} == {"few"}


def test_places_say_where_a_value_is_written():
    derivation = Derivation(
        {
            "scales": {"smoke": {"changes": {"dataset": "few"}}},
            "bases": {"a": {"laptop": BASE, "smoke": {"from": "laptop"}}},
        },
        str,
    )
    at = ("bases", "a", "smoke")
    assert derivation.places[(*at, "model", "width")] == ("bases", "a", "laptop", "model", "width")
    assert derivation.places[(*at, "dataset")] == ("scales", "smoke", "changes", "dataset")
