"""What a finding is: effects, what is claimed of each, and the one way in which they become a verdict."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from nervelab.aggregates.find import Aggregates
from nervelab.words.labels import NOT_RUN

Word = Literal["supported", "contradicted", "inconclusive", "not run"]
Holds = Literal["yes", "no", "open", ""]
_GRAVEST_FIRST: tuple[Holds, ...] = ("no", "open", "yes")

VERDICTS = (
    "A finding is a list of effects, each with an interval and with the range in which the claim wants it. An effect "
    "is as claimed if its whole interval lies in that range, otherwise than claimed if no part of the interval does, "
    "and open if only a part does or if its interval is not known; a number that is exact is its own interval. "
    "Supported: every effect is as claimed. Contradicted: at least one is otherwise than claimed. Inconclusive: "
    "neither, or a run that is needed failed. Not run: this scale does not train a run that is needed. The effect that "
    "decides is the weakest: the one whose interval, in halves of its width, lies least inside its range or farthest "
    "out of it; where a run is absent or failed, the effect that lacks it. Effects of which nothing is claimed are "
    "shown for comparison. Intervals are not corrected for the number of effects: of "
    "twenty at the 95 % level one may miss its true value."
)
"""How a verdict follows from effects, in words for readers; `verdict_of` in code."""


@dataclass(frozen=True)
class Claim:
    """The range in which the claim wants an effect; `words` say it.

    Its ends belong to it unless it is `strict`: what is claimed to be above 0 is not so at 0.
    """

    words: str
    low: float = -math.inf
    high: float = math.inf
    strict: bool = False

    def holds_over(self, low: float, high: float) -> bool:
        """Whether the whole interval lies in the range."""
        if self.strict:
            return self.low < low and high < self.high
        return self.low <= low and high <= self.high


def above(bound: float) -> Claim:
    """More than `bound`."""
    return Claim(f"above {_said(bound)}", low=bound, strict=True)


def below(bound: float) -> Claim:
    """Less than `bound`."""
    return Claim(f"below {_said(bound)}", high=bound, strict=True)


def between(low: float, high: float) -> Claim:
    """From `low` to `high`."""
    return Claim(f"between {_said(low)} and {_said(high)}", low, high)


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
        return "no" if self.high < self.claim.low or self.low > self.claim.high else "open"

    @property
    def clearance(self) -> float:
        """How far inside the claimed range the interval lies, in halves of its width.

        From 0 on it is as claimed, below -2 otherwise than claimed; at -1, where an unknown interval is put too, a
        bound of the claim lies in its middle. Infinite for an exact number, and where nothing is claimed.
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
    """A word, why it was reached, and the effects behind it."""

    verdict: Word
    reason: str
    effects: tuple[Effect, ...]

    @property
    def deciding(self) -> Effect:
        """The weakest of the effects of which something is claimed: that which lacks a run, else the least clear."""
        claimed = [effect for effect in self.effects if effect.claim is not None]
        unfinished = [effect for effect in claimed if effect.state != "finished"]
        absent = [effect for effect in unfinished if effect.state == NOT_RUN]
        weakest = min(claimed, key=lambda effect: (_GRAVEST_FIRST.index(effect.holds), effect.clearance))
        return next(iter(absent or unfinished), weakest)


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
        caveat: what the numbers cannot tell apart; empty if nothing.
        revisions: every change of the rule after its first full run, in words.
    """

    id: str
    section: str
    claim: str
    rule: str
    effects: Callable[[Aggregates], tuple[Effect, ...]]
    caveat: str = ""
    revisions: tuple[str, ...] = ()

    def decide(self, aggregates: Aggregates) -> Verdict:
        """The verdict on the runs of one scale."""
        return verdict_of(self.effects(aggregates))


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
    otherwise = [effect for effect in claimed if effect.holds == "no"]
    if otherwise:
        return Verdict("contradicted", f"{len(otherwise)} of {len(claimed)} effects otherwise than claimed", effects)
    unsettled = [effect for effect in claimed if effect.holds == "open"]
    if unsettled:
        return Verdict("inconclusive", f"{len(unsettled)} of {len(claimed)} effects open", effects)
    return Verdict("supported", f"{len(claimed)} of {len(claimed)} effects as claimed", effects)


def _listed(words: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(words))
