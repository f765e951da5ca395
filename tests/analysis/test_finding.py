"""From effects to a verdict: one rule, in every combination."""

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nervelab.analysis.findings.finding import (
    Claim,
    Effect,
    Finding,
    Rivals,
    Verdict,
    above,
    below,
    between,
    verdict_of,
)
from nervelab.words.labels import NOT_RUN

_HOLDING = {"yes": (1.0, 2.0), "no": (-2.0, -1.0), "open": (-1.0, 1.0)}


def effect(holds: str = "yes", state: str = "finished", of: str = "a model") -> Effect:
    low, high = _HOLDING[holds] if state == "finished" else (None, None)
    return Effect(of, "a quantity", above(0), state=state, low=low, high=high)


def shown(state: str = "finished") -> Effect:
    """An effect of which nothing is claimed."""
    return Effect("another", "a quantity", None, state=state, low=-2.0, high=-1.0)


@pytest.mark.parametrize(
    ("claim", "low", "high", "words"),
    [
        (above(0.5), 0.5, math.inf, "above 0.5"),
        (below(-0.25), -math.inf, -0.25, "below −0.25"),
        (between(0.9, 1.1), 0.9, 1.1, "between 0.9 and 1.1"),
        (between(-0.25, 0.25), -0.25, 0.25, "between −0.25 and 0.25"),
    ],
)
def test_a_claim_is_a_range_with_words(claim, low, high, words):
    assert (claim.low, claim.high, claim.words) == (low, high, words)


@pytest.mark.parametrize(
    ("low", "high", "holds"),
    [
        (1.0, 2.0, "yes"),  # both ends of the range belong to it
        (1.0, 1.0, "yes"),
        (1.2, 1.8, "yes"),
        (0.999, 2.0, "open"),
        (1.0, 2.001, "open"),
        (0.0, 3.0, "open"),
        (0.0, 1.0, "open"),  # it touches the range
        (2.0, 3.0, "open"),
        (0.0, 0.999, "no"),
        (2.001, 3.0, "no"),
        (None, 1.5, "open"),
        (1.5, None, "open"),
        (None, None, "open"),
    ],
)
def test_whether_an_effect_is_as_claimed(low, high, holds):
    assert Effect("a model", "a quantity", between(1, 2), value=1.5, low=low, high=high).holds == holds


@pytest.mark.parametrize("claim", [above(1), below(1)])
@pytest.mark.parametrize(("low", "high"), [(1.0, 1.0), (0.5, 1.0), (1.0, 1.5), (0.5, 1.5)])
def test_a_tie_with_the_bound_of_an_open_range_is_open(claim, low, high):
    assert Effect("a model", "a quantity", claim, low=low, high=high).holds == "open"


def test_of_an_effect_without_a_claim_nothing_holds():
    assert shown().holds == ""


_ENDS = st.floats(-10, 10)


@given(st.tuples(_ENDS, _ENDS).map(sorted), st.tuples(_ENDS, _ENDS).map(sorted))
def test_an_interval_lies_within_outside_or_across_its_range(interval, wanted):
    low, high = interval
    holds = Effect("a model", "a quantity", Claim("", *wanted), low=low, high=high).holds
    inside = [wanted[0] <= end <= wanted[1] for end in (low, high)]
    common = max(low, wanted[0]) <= min(high, wanted[1])
    assert holds == ("yes" if all(inside) else "open" if common else "no")


@given(st.tuples(_ENDS, _ENDS).map(sorted), _ENDS, st.sampled_from([-1, 1]))
def test_what_is_claimed_above_or_below_a_bound_is_not_so_at_it(interval, bound, sign):
    """`sign` is that of the side of the bound on which the claim wants the interval."""
    low, high = interval
    claim = above(bound) if sign > 0 else below(bound)
    near, far = (low, high) if sign > 0 else (high, low)
    expected = "yes" if sign * (near - bound) > 0 else "no" if sign * (far - bound) < 0 else "open"
    assert Effect("a model", "a quantity", claim, low=low, high=high).holds == expected
    assert (expected == "open") is (low <= bound <= high)


@given(_ENDS, st.sampled_from([above, below]))
def test_the_bound_itself_is_open_and_the_next_number_is_not(bound, side):
    def holds(value):
        return Effect("a model", "a quantity", side(bound), low=value, high=value).holds

    up, down = math.nextafter(bound, math.inf), math.nextafter(bound, -math.inf)
    assert (holds(down), holds(bound), holds(up)) == (("no", "open", "yes") if side is above else ("yes", "open", "no"))


def test_where_nothing_is_claimed_there_is_no_verdict():
    for effects in ((), (shown(),), (shown(NOT_RUN), shown())):
        with pytest.raises(ValueError, match="claims something of at least one"):
            verdict_of(effects)


_STATES = ("finished", "stuck at step 3", "diverged at step 4", NOT_RUN)
_CLAIMED = st.builds(effect, st.sampled_from(sorted(_HOLDING)), st.sampled_from(_STATES))
_SHOWN = st.builds(shown, st.sampled_from(_STATES))


@given(st.lists(_CLAIMED, min_size=1, max_size=6), st.lists(_SHOWN, max_size=3), st.randoms())
def test_a_verdict_follows_from_how_many_effects_are_what(claimed, others, random):
    effects = [*claimed, *others]
    random.shuffle(effects)
    verdict = verdict_of(tuple(effects))
    states, holds = {each.state for each in claimed}, [each.holds for each in claimed]
    if NOT_RUN in states:
        expected = "not run"
    elif states != {"finished"}:
        expected = "inconclusive"
    elif set(holds) == {"yes"}:
        expected = "supported"
    elif set(holds) == {"no"}:
        expected = "contradicted"
    else:
        expected = "in part" if {"yes", "no"} <= set(holds) else "inconclusive"
    assert verdict.verdict == expected
    assert verdict.effects == tuple(effects)
    if states == {"finished"}:
        for said in {"yes": "effects? as claimed", "no": "contradicts? the claim", "open": "open"}.items():
            found = re.search(rf"(\d+) of {len(claimed)} {said[1]}", verdict.reason)
            assert (int(found[1]) if found else 0) == holds.count(said[0])


@pytest.mark.parametrize(
    ("effects", "verdict", "reason"),
    [
        (
            [effect(), effect("open"), effect("no")],
            "in part",
            "1 of 3 effects as claimed, 1 of 3 contradicts the claim, 1 of 3 open",
        ),
        ([effect("no"), effect("no")], "contradicted", "2 of 2 contradict the claim"),
        (
            [effect("no"), effect("open")],
            "inconclusive",
            "1 of 2 decided: 1 of 2 contradicts the claim, 1 of 2 open",
        ),
        (
            [effect(), effect("open"), effect("open")],
            "inconclusive",
            "1 of 3 decided: 1 of 3 effects as claimed, 2 of 3 open",
        ),
        ([effect(), effect(), shown()], "supported", "2 of 2 effects as claimed"),
        ([effect(state=NOT_RUN, of="b"), effect("no")], "not run", f"b: {NOT_RUN}"),
        ([effect(state=NOT_RUN, of="b"), effect(state=NOT_RUN, of="c")], "not run", f"b; c: {NOT_RUN}"),
        ([effect(state="stuck at step 3", of="b"), effect("no")], "inconclusive", "b stuck at step 3"),
        ([effect(state="stuck at step 3", of="b")] * 2, "inconclusive", "b stuck at step 3"),
        ([effect(), shown(NOT_RUN)], "supported", "1 of 1 effects as claimed"),
    ],
)
def test_a_verdict_says_why(effects, verdict, reason):
    decided = verdict_of(tuple(effects))
    assert (decided.verdict, decided.reason) == (verdict, reason)


@pytest.mark.parametrize(
    ("claim", "low", "high", "clearance"),
    [
        (above(0), 0.75, 1.25, 3.0),
        (below(0), -1.25, -0.75, 3.0),
        (between(0.5, 1.75), 1.0, 1.5, 1.0),  # the nearer end counts
        (above(0), -1.0, 1.0, -1.0),
        (above(0), -3.0, 1.0, -1.5),
        (above(0), -2.0, -1.0, -4.0),
        (between(0, 1), 2.0, 3.0, -4.0),
        (above(0), None, None, -1.0),
        (above(0), 1.0, 1.0, math.inf),
        (above(0), -1.0, -1.0, -math.inf),
        (above(0), 0.0, 0.0, -1.0),
        (None, -2.0, -1.0, math.inf),
    ],
)
def test_how_clearly_an_effect_is_as_claimed(claim, low, high, clearance):
    assert Effect("a model", "a quantity", claim, low=low, high=high).clearance == clearance


@given(st.lists(st.tuples(_ENDS, _ENDS).map(sorted), min_size=1, max_size=5))
def test_the_effect_on_which_the_verdict_hangs_decides(intervals):
    verdict = verdict_of(tuple(Effect("a", "b", above(0), low=low, high=high) for low, high in intervals))
    deciding = verdict.deciding
    assert (
        deciding.holds
        == {"supported": "yes", "contradicted": "no", "in part": "no", "inconclusive": "open"}[verdict.verdict]
    )

    def share_below(effect):  # for the same claim of all, what is weaker lies below 0 with more of itself
        return -effect.low / (effect.high - effect.low)

    alike = [each for each in verdict.effects if each.holds == deciding.holds]
    if all(each.high - each.low > 1e-6 for each in alike):
        nearest = min if verdict.verdict == "contradicted" else max
        assert share_below(deciding) == pytest.approx(nearest(map(share_below, alike)))


def test_an_effect_that_lacks_a_run_decides_before_all_others():
    contrary, failed, absent = effect("no"), effect(state="stuck at step 3"), effect(state=NOT_RUN)
    assert verdict_of((contrary, failed, shown(NOT_RUN))).deciding is failed
    assert Verdict("not run", "", (contrary, failed, absent)).deciding is absent


def test_a_finding_decides_by_its_effects():
    finding = Finding("id", "3.1", "A claim.", "A rule.", lambda aggregates: (effect(aggregates),), Rivals("None."))
    assert finding.decide("open").verdict == "inconclusive"
