"""What a finding is: effects, what is claimed of each, and the one way in which they become a verdict."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Literal, get_args

from nervelab.aggregates.find import Aggregates
from nervelab.words.labels import NOT_RUN

Word = Literal["supported", "contradicted", "in part", "inconclusive", "not run"]
WORDS: tuple[Word, ...] = get_args(Word)
Holds = Literal["yes", "no", "open", ""]

VERDICTS = (
    "A finding is a list of effects, each with an interval and with the range in which the claim wants it. An effect "
    "is as claimed if its whole interval lies in that range, it contradicts the claim if no part of the interval does, "
    "and it is open if only a part does, if it ends at the bound of the range, if it lies within the tie that some "
    "claims allow on either side of a bound, or if it is not known; a number that is exact is its own interval. "
    "Supported: every effect is as claimed. Contradicted: every effect contradicts the claim. In part: at least one is "
    "as claimed and at least one contradicts the claim. Inconclusive: anything else, and wherever a run that is needed "
    "failed. Not run: this scale does not train a run that is needed. The effect that decides is the one on which the "
    "verdict hangs: of those that made it so, the least clear, measured in halves of the width of its interval from "
    "the claimed range; of a finding that holds in part, the clearest of those that contradict the claim; where a run "
    "is absent or failed, the effect that lacks it. Effects of which nothing is claimed are shown for comparison. "
    "A claim that is supported may still be trivial: each names the rival explanations that could make it so, and what "
    "is left of it beside each is an effect like the others, which does not change the verdict and is said beside it. "
    "Not explained by a rival: all that is left is as claimed. Explained as well by it: nothing is, with certainty. "
    "Not told apart from it: anything else, with how many effects are as claimed of how many. "
    "Intervals are not corrected for the number of effects: of twenty at the 95 % level one may miss its true value."
)
"""How a verdict follows from effects, in words for readers; `verdict_of` in code."""


@dataclass(frozen=True)
class Claim:
    """The range in which the claim wants an effect; `words` say it.

    Its ends belong to it unless it is `strict`: what is claimed to be above 0 is not so at 0. What lies outside by no
    more than `tie` does not contradict the claim.
    """

    words: str
    low: float = -math.inf
    high: float = math.inf
    strict: bool = False
    tie: float = 0.0

    def holds_over(self, low: float, high: float) -> bool:
        """Whether the whole interval lies in the range."""
        if self.strict:
            return self.low < low and high < self.high
        return self.low <= low and high <= self.high

    def fails_over(self, low: float, high: float) -> bool:
        """Whether no part of the interval lies in the range, nor within a tie of it."""
        return high < self.low - self.tie or low > self.high + self.tie


def above(bound: float, *, tie: float = 0.0) -> Claim:
    """More than `bound`; where `tie` is given, by more than that, and what is within it on either side is level."""
    return Claim(f"above {_said(bound + tie)}{_level(bound, tie)}", low=bound + tie, strict=True, tie=2 * tie)


def below(bound: float, *, tie: float = 0.0) -> Claim:
    """Less than `bound`; where `tie` is given, by more than that, and what is within it on either side is level."""
    return Claim(f"below {_said(bound - tie)}{_level(bound, tie)}", high=bound - tie, strict=True, tie=2 * tie)


def between(low: float, high: float) -> Claim:
    """From `low` to `high`."""
    return Claim(f"between {_said(low)} and {_said(high)}", low, high)


def _level(bound: float, tie: float) -> str:
    return f" (within {_said(bound)} ± {_said(tie)}: level)" if tie else ""


def _said(bound: float) -> str:
    return f"{bound:g}".replace("-", "−")


@dataclass(frozen=True)
class Effect:
    """One measured quantity that a verdict rests on.

    Attributes:
        of: the run, the runs or the comparison that it belongs to, in words.
        quantity: what it is, in words.
        claim: where the claim wants it; None if nothing is claimed of it.
        unit: empty for a number without a unit.
        state: how the runs ended, in words; anything but "finished" decides nothing.
        value: the effect in `unit`; None if there is none.
        low: lower end of its interval.
        high: upper end.
        by_seed: the value seed by seed, where there are several.
        by_layer: the value layer by layer.
        runs: the names of the runs.
        note: what else belongs to it, in words.
        assumed_from: the scale whose seed noise its interval assumes; empty where that was measured at this one.
        rival: the rival explanation beside which it is what is left of the claim; empty for an effect of the claim.
    """

    of: str
    quantity: str
    claim: Claim | None = None
    unit: str = ""
    state: str = "finished"
    value: float | None = None
    low: float | None = None
    high: float | None = None
    by_seed: tuple[float, ...] = ()
    by_layer: tuple[float, ...] = ()
    runs: tuple[str, ...] = ()
    note: str = ""
    assumed_from: str = ""
    rival: str = ""

    def __post_init__(self) -> None:
        """What is not finite is no number to decide by: one run may hold such, and must not take the rest with it."""
        for name in ("value", "low", "high"):
            number = getattr(self, name)
            if number is not None and not math.isfinite(number):
                object.__setattr__(self, name, None)

    @property
    def holds(self) -> Holds:
        """Whether it is as claimed: yes, no, open; empty if nothing is claimed."""
        if self.claim is None:
            return ""
        if self.low is None or self.high is None:
            return "open"
        if self.claim.holds_over(self.low, self.high):
            return "yes"
        return "no" if self.claim.fails_over(self.low, self.high) else "open"

    @property
    def clearance(self) -> float:
        """How far inside the claimed range the interval lies, in halves of its width.

        From 0 on it is as claimed, below -2, or further by a tie, it contradicts the claim; at -1, where an unknown
        interval is put too, a bound of the claim lies in its middle. Infinite for an exact number, and where nothing
        is claimed.
        """
        if self.claim is None:
            return math.inf
        if self.low is None or self.high is None:
            return -1.0
        inside = min(self.low - self.claim.low, self.claim.high - self.high)
        half = (self.high - self.low) / 2
        if half > 0:
            return inside / half
        return {"yes": math.inf, "no": -math.inf}.get(self.holds, -1.0)


@dataclass(frozen=True)
class Verdict:
    """A word, why it was reached, the effects behind it, and what is left of them beside rival explanations."""

    verdict: Word
    reason: str
    effects: tuple[Effect, ...]
    rivals: tuple[Effect, ...] = ()

    @property
    def everything(self) -> tuple[Effect, ...]:
        """The effects of the claim, and those of its rivals."""
        return (*self.effects, *self.rivals)

    @property
    def survival(self) -> str:
        """Which rival explanations the claim survives, in words; empty unless it is supported and has rivals."""
        if self.verdict != "supported":
            return ""
        fates: dict[str, list[str]] = {}
        claimed = [effect for effect in self.rivals if effect.claim is not None]
        for rival in dict.fromkeys(effect.rival for effect in claimed):
            fate, share = _fate([each for each in claimed if each.rival == rival])
            fates.setdefault(fate, []).append(rival + share)
        order = (*FATES, *(fate for fate in fates if fate not in FATES))
        return "; ".join(f"{fate} {_enumerated(fates[fate])}" for fate in order if fate in fates)

    @property
    def deciding(self) -> Effect:
        """The effect on which the verdict hangs: see `VERDICTS`."""
        claimed = [effect for effect in self.effects if effect.claim is not None]
        unfinished = [effect for effect in claimed if effect.state != "finished"]
        if unfinished:
            return next((effect for effect in unfinished if effect.state == NOT_RUN), unfinished[0])
        by = {holds: [each for each in claimed if each.holds == holds] for holds in ("yes", "no", "open")}
        if self.verdict == "contradicted":
            return max(by["no"], key=lambda effect: effect.clearance)
        if self.verdict == "in part":
            return min(by["no"], key=lambda effect: effect.clearance)
        return min(by["open"] or by["yes"], key=lambda effect: effect.clearance)


FATES = ("not explained by", "explained as well by", "not told apart from")


@dataclass(frozen=True)
class Rivals:
    """What could make a claim trivial.

    Attributes:
        words: which rival explanations there are and how each is held against the claim; or why there is none.
        effects: what is left of the claim beside each, as a function of the aggregates; each names its rival.
    """

    words: str
    effects: Callable[[Aggregates], tuple[Effect, ...]] = lambda aggregates: ()


@dataclass(frozen=True)
class Finding:
    """A claim of the paper and what decides it.

    Attributes:
        id: short, stable name.
        section: where the paper makes the claim.
        claim: the claim, as a sentence.
        rule: which effects decide it, in words that a reader can check against the tables; may use the names of
            `facts` in braces, as may the caveat.
        effects: the rule as a function of the aggregates.
        rivals: what could make the claim trivial.
        caveat: what the numbers cannot tell apart; empty if nothing.
        revisions: every change of the rule after its first full run, in words.
    """

    id: str
    section: str
    claim: str
    rule: str
    effects: Callable[[Aggregates], tuple[Effect, ...]]
    rivals: Rivals
    caveat: str = ""
    revisions: tuple[str, ...] = ()

    def decide(self, aggregates: Aggregates) -> Verdict:
        """The verdict on the runs of one scale."""
        return replace(verdict_of(self.effects(aggregates)), rivals=self.rivals.effects(aggregates))


def verdict_of(effects: tuple[Effect, ...]) -> Verdict:
    """`VERDICTS` in code."""
    claimed = [effect for effect in effects if effect.claim is not None]
    if not claimed:
        raise ValueError("a finding claims something of at least one of its effects")
    absent = _listed(effect.of for effect in claimed if effect.state == NOT_RUN)
    if absent:
        return Verdict("not run", f"{absent}: {NOT_RUN}", effects)
    failed = _listed(f"{effect.of} {effect.state}" for effect in claimed if effect.state != "finished")
    if failed:
        return Verdict("inconclusive", failed, effects)
    held = Counter(effect.holds for effect in claimed)
    assumed = _listed(effect.assumed_from for effect in claimed if effect.assumed_from)
    counts = _counts(held) + (f", with the seed noise of the {assumed} scale" if assumed else "")
    if held["yes"] == len(claimed):
        return Verdict("supported", counts, effects)
    if held["no"] == len(claimed):
        return Verdict("contradicted", counts, effects)
    if held["yes"] and held["no"]:
        return Verdict("in part", counts, effects)
    return Verdict("inconclusive", f"{held['yes'] + held['no']} of {len(claimed)} decided: {counts}", effects)


def _counts(held: Counter[Holds]) -> str:
    """How many effects are what, as in "3 effects as claimed, 1 contradicts the claim, 1 open"."""
    total = held.total()
    said = {
        "yes": f"{held['yes']} of {total} effects as claimed",
        "no": f"{held['no']} of {total} {'contradicts' if held['no'] == 1 else 'contradict'} the claim",
        "open": f"{held['open']} of {total} open",
    }
    return ", ".join(words for holds, words in said.items() if held[holds])


def _fate(effects: list[Effect]) -> tuple[str, str]:
    """What became of a claim beside one rival: one of `FATES`, or why that is not known; and how much of it."""
    lacking = next((effect.state for effect in effects if effect.state != "finished"), None)
    if lacking is not None:
        return f"{lacking}:", ""
    held = [effect.holds for effect in effects]
    if len(set(held)) == 1 and held[0] != "open":
        return FATES[held[0] == "no"], ""
    return FATES[2], f" ({held.count('yes')} of {len(held)} beyond it)"


def _enumerated(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _listed(words: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(words))
