"""What a finding is, and what is said about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from nervelab.analysis.aggregates import Aggregates
from nervelab.study.decisions import Analysis

Word = Literal["supported", "contradicted", "inconclusive", "not run"]


@dataclass(frozen=True)
class Effect:
    """One measured quantity that a verdict rests on.

    Attributes:
        of: the run or comparison it belongs to, in words.
        state: the outcome of that run, in words.
        value: the effect in `unit`; None if there is none.
        unit: empty for a number without a unit.
        low: lower end of its interval.
        high: upper end.
        relative: the effect as a share of what it is an effect on.
        agreeing: share of the single observations that have the claimed sign.
        n: what was counted, in words, as in "15 checkpoints × 4 layers".
    """

    of: str
    state: str
    unit: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    relative: float | None = None
    agreeing: float | None = None
    n: str = ""


@dataclass(frozen=True)
class Verdict:
    """A word, why it was reached, and the effects behind it."""

    verdict: Word
    reason: str
    effects: tuple[Effect, ...]


@dataclass(frozen=True)
class Finding:
    """A claim of the paper and the rule that decides it.

    Attributes:
        id: short, stable name.
        section: where the paper claims it.
        claim: the claim, as a sentence.
        rule: the rule in words that a reader can check against the numbers.
        caveat: what the numbers cannot tell apart; empty if nothing.
        decide: the rule as a function of the aggregates.
        revisions: every change of the rule after its first full run, in words.
    """

    id: str
    section: str
    claim: str
    rule: str
    caveat: str
    decide: Callable[[Aggregates, Analysis], Verdict]
    revisions: tuple[str, ...] = ()
